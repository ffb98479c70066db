/// Other parts of the load that boot information refers to.
#[derive(Clone, Copy)]
pub(super) struct Neighbours {
    /// Address of the kernel.
    pub(super) kernel: u64,
    /// Address and bytes of the initrds.
    pub(super) initrd: Option<(u64, u64)>,
}
