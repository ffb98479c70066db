use proptest::prelude::*;

use super::*;

const DATA: u64 = 0x1_0000;

/// A core file with these loads: offset, physical address and size. A virtual address is given as
/// QEMU's dumps with paging do, where memory is mapped several times.
fn core(loads: &[(u64, u64, u64)], data: &[u8]) -> Vec<u8> {
    let mut file = vec![0; usize::try_from(DATA).unwrap()];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32] = 64;
    file[54] = 56;
    file[56..58].copy_from_slice(&u16::try_from(loads.len()).unwrap().to_le_bytes());
    for ((header, (offset, phys, size)), n) in file[64..].chunks_exact_mut(56).zip(loads).zip(0_u64..) {
        header[0] = 1;
        let virt = 0xffff_8880_0000_0000 + (n << 32) + phys;
        for (at, value) in [(8, DATA + offset), (16, virt), (24, *phys), (32, *size), (40, *size)] {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    file.extend(data);
    file
}

#[test]
fn a_page_that_no_load_touches_is_absent_and_not_zeros() {
    let file = core(&[(0, 0x1800, 0x100), (0, 0x4000, 0x1000)], &[7; 0x1000]);
    let mut core = ElfCore::open(&file[..]).unwrap();
    let mut page = [1; 4096];
    core.read_phys(0x1000, &mut page).unwrap();
    assert!(page[..0x800] == [0; 0x800] && page[0x800..0x900] == [7; 0x100] && page[0x900..] == [0; 0x700]);
    for absent in [0, 2, 3, 5] {
        core.present.insert(absent, absent + 1);
    }
    for address in [0, 0x2000, 0x2ff0, 0x3000, 0x3ff0, 0x5000, 0x5ff0] {
        let result = core.read_phys(address, &mut [1; 16]);
        assert!(matches!(result, Err(Error::Absent { pfn }) if pfn == address / PAGE_SIZE), "{address:#x}");
    }
    assert!(core.read_phys(0x1000, &mut [0; 2 * 4096]).is_err());
}

proptest! {
    /// Loads that overlap, within pages and across them.
    #[test]
    fn every_byte_of_a_present_page_is_that_of_a_load_or_next_to_one(
        loads in prop::collection::vec((0_u64..0x3000, 1_u64..0x9000, 1_u64..0x3000), 1..12),
        data in any::<[u8; 16]>(),
    ) {
        let data: Vec<u8> = (0..0x6000).map(|at| data[at % 13] ^ (at >> 5).to_le_bytes()[0]).collect();
        let file = core(&loads, &data);
        let core = ElfCore::open(&file[..]).unwrap();
        let (mut bytes, mut pages) = (vec![None; 0xe000], [false; 14]);
        // The bytes of the load that starts last count.
        let mut sorted = loads.clone();
        sorted.sort_by_key(|load| load.1);
        for (offset, phys, size) in sorted {
            for n in 0..size {
                let byte = data[usize::try_from(offset + n).unwrap()];
                bytes[usize::try_from(phys + n).unwrap()] = Some(byte);
                pages[usize::try_from((phys + n) / PAGE_SIZE).unwrap()] = true;
            }
        }
        for (expected, pfn) in bytes.chunks(4096).zip(0_u64..) {
            let mut page = vec![1; 4096];
            let result = core.read_phys(pfn * PAGE_SIZE, &mut page);
            let is_present = Pfn::new(pfn).is_some_and(|page| core.present.contains(page));
            prop_assert_eq!(is_present, pages[usize::try_from(pfn).unwrap()]);
            prop_assert_eq!(result.is_ok(), is_present);
            if is_present {
                let expected: Vec<u8> = expected.iter().map(|byte| byte.unwrap_or(0)).collect();
                prop_assert!(page == expected, "page {:#x}", pfn);
            }
        }
    }
}
