use std::io;

/// Something about the machine, or why it is not known.
pub type Fact<T> = Result<T, Error>;

/// Why something about the machine is not known. Paths are the machine's, without the root directory.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the file and what became of it")]
pub enum Error {
    /// The file is not there.
    #[error("{path} does not exist")]
    Absent { path: String },
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    /// The file goes on where a sane one would have ended.
    #[error("{path} is longer than {limit} bytes")]
    TooLong { path: String, limit: u64 },
    /// The file does not say what it should.
    #[error("{path}: {source}")]
    Garbled { path: String, source: Garbled },
}

/// A text is not what its parser takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is not {wanted}")]
pub struct Garbled {
    /// The line, counted from 1.
    pub line: usize,
    /// What it should have been.
    pub wanted: &'static str,
}
