//! Every limit of an inventory, with its reason. An inventory is a file of another team, so none of it is trusted.

/// Bytes of one file. A platform of 45 components has about 20 KiB of variables.
pub const FILE_BYTES: u64 = 1 << 20;
/// Lists and mappings inside each other. The reader recurses, so the depth bounds the stack.
pub(super) const DEPTH: usize = 48;
/// Scalars, lists and mappings of one file.
pub(super) const NODES: usize = 100_000;
/// Aliases (`*name`) of one file.
pub(super) const ALIASES: usize = 1_000;
/// How often one anchor (`&name`) may be repeated. With [`ANCHOR_BYTES`] this bounds the memory of an alias bomb.
pub(super) const REPEATS: usize = 100;
/// Values that aliases may add.
pub(super) const REPEATED_NODES: usize = 100_000;
/// Bytes of text with aliases filled in: 100 aliases of 100 aliases of one long text are few values.
pub(super) const TEXT_BYTES: usize = 16 << 20;
/// Bytes below anchors.
pub(super) const ANCHOR_BYTES: usize = 256 << 10;
/// Variables that follow from each other, `{{ a }}` from `{{ b }}` and so on. The evaluation recurses.
pub(super) const TEMPLATE_DEPTH: usize = 32;
/// Bytes of one value with its templates filled in: `{{ b }}{{ b }}` doubles with each level.
pub(super) const VALUE_BYTES: usize = 64 << 10;
