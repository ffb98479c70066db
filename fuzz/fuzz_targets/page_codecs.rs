//! Any bytes as a page in every stored form: an error, or a page. What a codec encodes, it decodes
//! to the same page.
#![no_main]

use vmcore::codec::{Codec, Decoder, Effort, Encoder};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::default();
    let mut page = [0; 4096];
    for codec in Codec::ALL {
        let _ = decoder.decode(codec, bytes, &mut page);
    }
    let mut page = [0; 4096];
    let count = bytes.len().min(page.len());
    page[..count].copy_from_slice(&bytes[..count]);
    for codec in [Codec::Lzo, Codec::Zlib] {
        let mut encoder = Encoder::new(Effort::usual(codec));
        let mut out = vec![0; encoder.most(page.len())];
        let (stored, length) = encoder.encode(&page, &mut out);
        let mut back = [1; 4096];
        assert_eq!(decoder.decode(stored, &out[..length], &mut back), Ok(()));
        assert!(back == page);
    }
});
