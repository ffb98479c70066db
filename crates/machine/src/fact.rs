use std::io;

/// A fact about the machine, or why it is not known.
pub type Fact<T> = Result<T, Error>;

/// Why something about the machine is not known. Paths are the machine's, without the root
/// directory. The texts are whole: what an error comes from is in its text, hence not its source.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the file and the error")]
pub enum Error {
    /// The file does not exist.
    #[error("{path} does not exist")]
    Absent { path: String },
    /// The file cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable { path: String, error: io::Error },
    /// The file is larger than any such file should be.
    #[error("{path} is longer than {limit} bytes")]
    TooLong { path: String, limit: u64 },
    /// The file's contents are not of the expected form.
    #[error("{path}: {garbled}")]
    Garbled { path: String, garbled: Garbled },
}

/// A text that its parser does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not {wanted}")]
pub struct Garbled {
    /// The line, counted from 1.
    pub line: usize,
    /// The expected form.
    pub wanted: &'static str,
}
