//! Failures, and their exit statuses.

/// A failure.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The command line is wrong, or nothing is loaded.
    Usage(String),
    /// Something failed.
    Failed(anyhow::Error),
    /// No memory is reserved for crash kernels.
    NoCrashMemory,
    /// `kexec_file_load` is asked for, and the kernel lacks it.
    NoFileLoad,
}

impl Trouble {
    /// In kexec-tools' words.
    pub(super) fn nothing_loaded() -> Self {
        Self::Usage("Nothing has been loaded!".into())
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Usage(text) => text.clone(),
            Self::Failed(error) => format!("{error:#}"),
            Self::NoCrashMemory => {
                "Memory for crashkernel is not reserved; boot this kernel with crashkernel=SIZE on \
                 its command line, as in crashkernel=256M"
                    .into()
            }
            Self::NoFileLoad => "syscall kexec_file_load not available; leave out -s, or use a kernel with \
                 CONFIG_KEXEC_FILE"
                .into(),
        }
    }

    /// The exit status: kexec-tools'.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 1,
            Self::Failed(_) => 255,
            Self::NoCrashMemory => 254,
            Self::NoFileLoad => 253,
        }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        match error.downcast_ref() {
            Some(plan::Error::NoCrashMemory) => Self::NoCrashMemory,
            _ => Self::Failed(error),
        }
    }
}
