//! The protocol of the guest's agent on the second serial port.
//!
//! Output is sent in frames, so that nothing that the command prints is mistaken for its exit
//! status, and so that a lost byte is detected:
//!
//! ```text
//! offset 0     1     2        6        8            8+n      12+n
//!        0xA5  kind  number   n        n bytes      CRC-32 of the frame up to here
//! ```
//!
//! Numbers are little-endian; frames are numbered from 0, which is the number of the first `Hello`.

const MARK: u8 = 0xA5;
const HEAD: usize = 8;
const CHECK: usize = 4;

/// Bytes without a valid frame after which the line counts as damaged, even while a successor is
/// awaited.
const PATIENCE: usize = 1 << 16;

/// The most bytes one frame carries.
pub const MOST: usize = 4096;

/// What a frame means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The agent runs.
    Hello,
    /// Standard output of the command.
    Out,
    /// Standard error of the command.
    Err,
    /// A message of the agent itself.
    Note,
    /// The command's exit status, one byte; the last frame.
    Exit,
}

const KINDS: [(u8, Kind); 5] =
    [(b'h', Kind::Hello), (b'o', Kind::Out), (b'e', Kind::Err), (b'n', Kind::Note), (b'x', Kind::Exit)];

/// Numbers and writes frames.
#[derive(Debug, Default)]
pub struct Encoder {
    next: u32,
}

impl Encoder {
    /// The next frame. It carries at most [`MOST`] bytes; the rest is dropped.
    pub fn frame(&mut self, kind: Kind, bytes: &[u8]) -> Vec<u8> {
        let bytes = &bytes[..bytes.len().min(MOST)];
        let letter = KINDS.iter().find(|(_, of)| *of == kind).map_or(0, |(letter, _)| *letter);
        let mut frame = vec![MARK, letter];
        frame.extend(self.next.to_le_bytes());
        frame.extend(u16::try_from(bytes.len()).unwrap_or(0).to_le_bytes());
        frame.extend(bytes);
        frame.extend(crc32fast::hash(&frame).to_le_bytes());
        self.next = self.next.wrapping_add(1);
        frame
    }
}

/// Decodes frames.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    next: u32,
    successor: bool,
    /// An agent that was at rest may go on in the middle of a frame.
    resumed: bool,
}

impl Decoder {
    /// Adds bytes as they arrive. Returns the frames that are now complete.
    ///
    /// # Errors
    /// Bytes were lost, added or changed on the way; the text names the frame.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, String> {
        self.pending.extend(bytes);
        if self.next == 0 {
            self.skip_noise();
        }
        let mut frames = Vec::new();
        loop {
            match self.first() {
                Ok(Some(frame)) => frames.push(frame),
                _ if self.successor_begins() => {}
                Err(_) if self.resumed => self.skip_to_resumed(),
                Ok(None) => return Ok(frames),
                // A frame that was cut off may be followed by the first frame of another agent.
                Err(_) if self.successor && self.pending.len() < PATIENCE => return Ok(frames),
                Err(damage) => return Err(damage),
            }
        }
    }

    /// From now on another agent may begin to send, even in the middle of a frame of the first one.
    pub fn expect_successor(&mut self) {
        self.successor = true;
    }

    /// From now on an agent that was at rest may go on: with other numbers, and in the middle of a
    /// frame.
    pub fn expect_resumed(&mut self) {
        self.resumed = true;
    }

    /// Takes the number of the first frame of an agent that goes on, or drops bytes before it.
    fn skip_to_resumed(&mut self) {
        let number = self.pending.get(2..6).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let copy = Self { pending: self.pending.clone(), next: number.unwrap_or(0), ..Self::default() };
        if let (Ok(Some(_)), Some(number)) = ({ copy }.first(), number) {
            (self.next, self.resumed) = (number, false);
        } else {
            self.pending.drain(..1);
            self.skip_noise();
        }
    }

    /// Whether another agent is expected and has not begun to send.
    #[must_use]
    pub fn awaits_successor(&self) -> bool {
        self.successor
    }

    /// Looks for the first `Hello` of another agent, which always has the same bytes, and starts
    /// anew there.
    fn successor_begins(&mut self) -> bool {
        if !self.successor || self.next == 0 {
            return false;
        }
        let hello = Encoder::default().frame(Kind::Hello, b"");
        let start = self.pending.windows(hello.len()).position(|bytes| bytes == hello);
        let Some(start) = start else { return false };
        self.pending.drain(..start);
        (self.next, self.successor) = (0, false);
        true
    }

    /// Skips bytes that the firmware and the serial driver write before the agent owns the port.
    fn skip_noise(&mut self) {
        let start = self.pending.iter().position(|byte| *byte == MARK).unwrap_or(self.pending.len());
        self.pending.drain(..start);
    }

    fn first(&mut self) -> Result<Option<(Kind, Vec<u8>)>, String> {
        let Some((head, rest)) = self.pending.split_first_chunk::<HEAD>() else { return Ok(None) };
        let [mark, letter, number @ .., low, high] = *head;
        let length = usize::from(u16::from_le_bytes([low, high]));
        if mark != MARK || length > MOST {
            return Err(format!("frame {} expected, found {head:02x?}", self.next));
        }
        let Some((body, check)) =
            rest.get(..length + CHECK).and_then(|rest| rest.split_last_chunk::<CHECK>())
        else {
            return Ok(None);
        };
        let (number, check) = (u32::from_le_bytes(number), u32::from_le_bytes(*check));
        let kind = KINDS.iter().find(|(of, _)| *of == letter).map(|(_, kind)| *kind);
        let intact = crc32fast::hash(&self.pending[..HEAD + length]) == check;
        let (Some(kind), true, true) = (kind, intact, number == self.next) else {
            return Err(format!("frame {} expected, found {head:02x?}, check {intact}", self.next));
        };
        let body = body.to_vec();
        self.pending.drain(..HEAD + length + CHECK);
        self.next = self.next.wrapping_add(1);
        Ok(Some((kind, body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_was_at_rest_goes_on_with_its_own_numbers() {
        let (mut first, mut second) = (Encoder::default(), Encoder::default());
        let rested: Vec<_> = (0..5).map(|_| first.frame(Kind::Out, b"before")).collect();
        let mut line = [second.frame(Kind::Hello, b""), second.frame(Kind::Out, b"loading")].concat();
        line.extend(&rested[4][9..]);
        line.extend([first.frame(Kind::Out, b"after"), first.frame(Kind::Exit, &[0])].concat());
        for size in [1, 7, line.len()] {
            let mut decoder = Decoder::default();
            decoder.expect_resumed();
            let frames: Vec<_> = line
                .chunks(size)
                .flat_map(|bytes| decoder.take(bytes).unwrap())
                .map(|(_, body)| body)
                .collect();
            assert_eq!(frames, [&b""[..], b"loading", b"after", &[0]]);
            assert!(decoder.take(&first.frame(Kind::Out, b"")[1..]).is_err() || !decoder.resumed);
        }
    }

    #[test]
    fn frames_are_decoded_wherever_reads_cut_them() {
        let mut encoder = Encoder::default();
        let sent = [(Kind::Hello, vec![]), (Kind::Out, (0..=255).collect()), (Kind::Exit, vec![7])];
        let line: Vec<u8> = sent.iter().flat_map(|(kind, bytes)| encoder.frame(*kind, bytes)).collect();
        for size in 1..line.len() {
            let mut decoder = Decoder::default();
            let got: Vec<_> = line.chunks(size).flat_map(|chunk| decoder.take(chunk).unwrap()).collect();
            assert_eq!(got, sent);
        }
    }

    #[test]
    fn noise_before_the_first_frame_is_skipped() {
        let mut line = vec![0, 0xff, b'\n'];
        line.extend(Encoder::default().frame(Kind::Hello, b""));
        assert_eq!(Decoder::default().take(&line).unwrap(), [(Kind::Hello, vec![])]);
    }

    #[test]
    fn a_lost_byte_is_detected_anywhere() {
        let mut encoder = Encoder::default();
        let hello = encoder.frame(Kind::Hello, b"");
        let mut line = encoder.frame(Kind::Out, b"0123456789");
        line.extend(encoder.frame(Kind::Exit, &[0]));
        for lost in 0..line.len() {
            let mut damaged = line.clone();
            damaged.remove(lost);
            let mut decoder = Decoder::default();
            assert!(decoder.take(&hello).is_ok());
            let got = decoder.take(&damaged);
            let ended = got.as_ref().is_ok_and(|frames| frames.iter().any(|(kind, _)| *kind == Kind::Exit));
            assert!(!ended, "byte {lost} of {} was lost: {got:?}", line.len());
        }
    }

    #[test]
    fn another_agent_may_begin_in_the_middle_of_a_frame() {
        let mut first = Encoder::default();
        let mut line = first.frame(Kind::Hello, b"");
        line.extend(first.frame(Kind::Out, b"before"));
        let cut = first.frame(Kind::Out, b"never ended");
        line.extend(&cut[..cut.len() - 3]);
        let mut second = Encoder::default();
        line.extend([second.frame(Kind::Hello, b""), second.frame(Kind::Exit, &[3])].concat());
        for size in 1..line.len() {
            let mut decoder = Decoder::default();
            decoder.expect_successor();
            let got: Vec<_> = line.chunks(size).flat_map(|chunk| decoder.take(chunk).unwrap()).collect();
            let hello = || (Kind::Hello, vec![]);
            let said = (Kind::Out, b"before".to_vec());
            assert_eq!(got, [hello(), said, hello(), (Kind::Exit, vec![3])]);
            assert!(!decoder.awaits_successor());
        }
        assert!(Decoder::default().take(&line).is_err());
    }

    #[test]
    fn a_lost_frame_is_detected() {
        let mut encoder = Encoder::default();
        let mut line = encoder.frame(Kind::Hello, b"");
        encoder.frame(Kind::Out, b"lost");
        line.extend(encoder.frame(Kind::Exit, &[0]));
        assert!(Decoder::default().take(&line).is_err());
    }
}
