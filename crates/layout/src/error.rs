//! Why a disk cannot be laid out as its machine file says.

/// Why there is no plan. Each message says what is wrong and what to write instead; [`PlanError::pointer`] says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// `layout` and `partitions` exclude each other.
    #[error("a disk has either a `layout` or `partitions`: remove one of the two")]
    LayoutAndPartitions,
    /// Neither of them.
    #[error("the disk has no partitions: add `layout: uefi`, or list `partitions`")]
    Empty,
    /// A GPT has 128 entries, an MBR 4.
    #[error("the disk has {count} partitions, but its partition table holds {most}")]
    TooManyPartitions {
        /// How many there are.
        count: usize,
        /// How many the table holds.
        most: usize,
    },
    /// A layout that stands for one kind of table, with another one asked for.
    #[error("the layout `{layout}` has a table of the kind {table}: remove `table`, or list `partitions`")]
    LayoutTable {
        /// The layout.
        layout: &'static str,
        /// Its kind of table.
        table: &'static str,
    },
    /// A partition that begins or ends where an MBR does not reach.
    #[error("the disk is {size}, but an MBR reaches no further than 2T: make the disk smaller, or use a GPT")]
    BeyondMbr {
        /// Where the size is given; the disk itself when it follows from the partitions.
        pointer: String,
        /// The disk's size.
        size: String,
    },
    /// A partition that grows and is not the root, in a table that cannot mark it.
    #[error("{what} cannot grow: in an MBR only the root can. Remove `grow`")]
    GrowMbr {
        /// The partition: its kind.
        what: String,
        /// Where `grow` is.
        pointer: String,
    },
    /// A mirror of the EFI system partition that is mounted nowhere.
    #[error(
        "a second esp is a mirror of the first and needs a `mount_point` of its own, for example `mount_point: /efi2`"
    )]
    MirrorWithoutMountPoint {
        /// The partition.
        pointer: String,
    },
    /// A BIOS does not start disks with sectors of 4096 bytes.
    #[error("the disk has sectors of {sector} bytes, from which no BIOS boots: use a layout with UEFI")]
    BiosSectors {
        /// The size of a sector.
        sector: u64,
    },
    /// An exact size or an upper bound that is less than what must go into the partition.
    #[error("{what} is {size}, but its contents need {needed}: make it at least {needed}")]
    PartitionTooSmall {
        /// The partition: its kind.
        what: String,
        /// Where its size is given.
        pointer: String,
        /// What the machine file gives it.
        size: String,
        /// What it needs.
        needed: String,
    },
    /// A size below what the file system can be made in.
    #[error("{what} is {size}, but {format} needs at least {needed}: make it at least {needed}")]
    BelowFormat {
        /// The partition: its kind.
        what: String,
        /// Where its size is given.
        pointer: String,
        /// What the machine file gives it.
        size: String,
        /// The file system.
        format: &'static str,
        /// The least size.
        needed: String,
    },
    /// `size_min` above `size_max`.
    #[error("`size_min` of {what} is above its `size_max`: make `size_max` at least {needed}")]
    Bounds {
        /// The partition: its kind.
        what: String,
        /// Where `size_max` is.
        pointer: String,
        /// The least `size_max`.
        needed: String,
    },
    /// An exact size together with bounds or a weight.
    #[error("{what} has an exact `size` and also `{other}`: remove one of the two")]
    SizeAndShare {
        /// The partition: its kind.
        what: String,
        /// The key that does not go with `size`.
        other: &'static str,
        /// Where that key is.
        pointer: String,
    },
    /// Swap whose size nothing decides.
    #[error("a swap partition needs a `size`, for example `size: 1G`")]
    SwapWithoutSize {
        /// The partition.
        pointer: String,
    },
    /// A data partition that is mounted nowhere.
    #[error("a data partition needs a `mount_point`, for example `mount_point: /srv`")]
    DataWithoutMountPoint {
        /// The partition.
        pointer: String,
    },
    /// Only the last partition can grow.
    #[error("{what} cannot grow: partition {last} stands behind it. Move it to the end, or remove `grow`")]
    GrowNotLast {
        /// The partition: its kind.
        what: String,
        /// Where `grow` is.
        pointer: String,
        /// The number of the last partition.
        last: usize,
    },
    /// Only ext4 can be made larger when the machine boots.
    #[error("{what} cannot grow: only ext4 can. Remove `grow`")]
    GrowFormat {
        /// The partition: its kind.
        what: String,
        /// Where `grow` is.
        pointer: String,
    },
    /// A file system that does not go with the partition's kind.
    #[error("{what} cannot be {format}: use {instead}")]
    Format {
        /// The partition: its kind.
        what: String,
        /// Where `format` is.
        pointer: String,
        /// What was asked for.
        format: &'static str,
        /// What goes.
        instead: String,
    },
    /// A partition name that a GPT cannot hold.
    #[error("the label of {what} has {units} UTF-16 units, but a partition table holds 36: shorten it")]
    LabelTooLong {
        /// The partition: its kind.
        what: String,
        /// Where the label is.
        pointer: String,
        /// Its length.
        units: usize,
    },
    /// The disk is smaller than the partitions together.
    #[error("the disk is {size}, but its partitions need {needed}: make it at least {needed}")]
    DiskTooSmall {
        /// Where the size is given; the disk itself when the size is that of a real disk.
        pointer: String,
        /// The disk's size.
        size: String,
        /// What the partitions need together, with the partition tables.
        needed: String,
    },
    /// More bytes than a file or a disk can have.
    #[error("the partitions are larger than any disk: together more than 8 EiB")]
    TooLarge,
}

impl PlanError {
    /// Where in the disk's part of the machine file the fault is, as a JSON pointer that begins at the disk:
    /// `/partitions/1/size`. Empty when it is the disk as a whole.
    pub fn pointer(&self) -> &str {
        match self {
            PlanError::LayoutAndPartitions => "/layout",
            PlanError::LayoutTable { .. } => "/table",
            PlanError::Empty | PlanError::BiosSectors { .. } => "",
            PlanError::TooManyPartitions { .. } | PlanError::TooLarge => "/partitions",
            PlanError::PartitionTooSmall { pointer, .. }
            | PlanError::BelowFormat { pointer, .. }
            | PlanError::Bounds { pointer, .. }
            | PlanError::SizeAndShare { pointer, .. }
            | PlanError::SwapWithoutSize { pointer }
            | PlanError::DataWithoutMountPoint { pointer }
            | PlanError::GrowMbr { pointer, .. }
            | PlanError::GrowNotLast { pointer, .. }
            | PlanError::GrowFormat { pointer, .. }
            | PlanError::Format { pointer, .. }
            | PlanError::LabelTooLong { pointer, .. }
            | PlanError::BeyondMbr { pointer, .. }
            | PlanError::MirrorWithoutMountPoint { pointer }
            | PlanError::DiskTooSmall { pointer, .. } => pointer,
        }
    }
}
