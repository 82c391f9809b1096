//! The readers that get a stranger's bytes.

mod boot;
mod computers;
mod disks;
mod helper;
mod images;
mod menus;
mod programs;
mod store;
mod systems;
mod texts;
mod variable;

/// One reader.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// What it is called: `ext4`.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// What the format's files are full of.
    pub words: &'static [&'static str],
    /// The longest input that is tried.
    pub most: usize,
    /// How many mutations the quick tests try: what they do together takes about a minute.
    pub quick: usize,
    /// Reads an input. It answers, or refuses; all else is a fault.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    texts::MACHINE,
    texts::HARDWARE,
    texts::LOCK,
    boot::BOOT_JSON,
    boot::RECORD,
    boot::ENTRY_NAME,
    boot::ENV_BLOCK,
    boot::LOAD_OPTION,
    boot::FIRMWARE,
    menus::MENU,
    menus::REGISTRATION,
    store::RECORD,
    store::LISTING,
    store::SIGNING_KEY,
    store::DATABASE,
    store::STORE_PATH,
    disks::TABLE,
    disks::FAT,
    disks::EXT4,
    disks::NTFS,
    disks::BOOT_CODE,
    images::QCOW2,
    images::IMAGE,
    helper::ACCOUNTS,
    helper::GIVEN,
    helper::MODES,
    helper::COMMAND_LINE,
    helper::GROW,
    helper::MEDIUM_TAG,
    helper::UNITS,
    variable::VARIABLE,
    programs::ELF,
    programs::SIGNED,
    programs::MODULES,
    programs::NAMED_FILE,
    computers::COMPUTER,
    systems::SYSTEM,
];

/// The one of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
