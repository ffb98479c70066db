//! Error numbers of Linux: `include/uapi/asm-generic/errno-base.h` and `errno.h`. They are positive
//! here; the kernel returns them negated.

macro_rules! numbers {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {$(
        #[doc = $meaning]
        pub const $name: i32 = $number;
    )*};
}

numbers! {
    EPERM = 1, "Operation not permitted.";
    ENOENT = 2, "No such file or directory.";
    EINTR = 4, "Interrupted system call.";
    EIO = 5, "Input/output error.";
    ENOEXEC = 8, "Exec format error.";
    ENOMEM = 12, "Out of memory.";
    EACCES = 13, "Permission denied.";
    EFAULT = 14, "Bad address.";
    EBUSY = 16, "Device or resource busy.";
    EEXIST = 17, "File exists.";
    EINVAL = 22, "Invalid argument.";
    ENOTTY = 25, "Not a typewriter: the file does not know the ioctl.";
    EFBIG = 27, "File too large.";
    ENOSPC = 28, "No space left on device.";
    ENOSYS = 38, "Function not implemented.";
    ENODATA = 61, "No data available.";
    ENOPKG = 65, "Package not installed.";
    EBADMSG = 74, "Not a data message.";
    ELIBBAD = 80, "Accessing a corrupted shared library.";
    EMSGSIZE = 90, "Message too long.";
    EOPNOTSUPP = 95, "Operation not supported on transport endpoint.";
    EADDRNOTAVAIL = 99, "Cannot assign requested address.";
    EDQUOT = 122, "Quota exceeded.";
    ENOKEY = 126, "Required key not available.";
    EKEYREJECTED = 129, "Key was rejected by service.";
    EOWNERDEAD = 130, "Owner died.";
}
