//! Generations on whole machines: upgrade, roll back, fall back, choose in the menu; on both loaders, under both firmwares.
//!
//! CI runs pairs of these, chosen so that every kind of machine and every kind of fault is among them; `scripts/whole-machines`
//! runs the whole table.

mod agreed;
mod damaged;
mod emergency;
mod falls_back;
mod first_process;
mod hundred;
pub mod journey;
mod menu_keys;
mod packages;

use qemu_tests::Scenario;

/// What every run has.
pub const CHOSEN: &[Scenario] = &[
    journey::ON_SYSTEMD_BOOT,
    journey::ON_GRUB_MBR,
    emergency::SCENARIO,
    first_process::SCENARIO,
    falls_back::A_HANG_AND_NO_INIT_SYSTEMD_BOOT,
    falls_back::A_PANIC_AND_A_CHECK_GRUB_MBR,
    menu_keys::ON_GRUB_UEFI,
    damaged::GRUB_WORST,
];

/// The rest of the table.
pub const REST: &[Scenario] = &[
    journey::ON_GRUB_UEFI,
    journey::ON_GRUB_GPT,
    falls_back::A_PANIC_AND_A_CHECK_SYSTEMD_BOOT,
    falls_back::A_HANG_AND_NO_INIT_GRUB_MBR,
    falls_back::ALL_FOUR_GRUB_UEFI,
    falls_back::ALL_FOUR_GRUB_GPT,
    menu_keys::ON_SYSTEMD_BOOT,
    menu_keys::ON_GRUB_GPT,
    menu_keys::ON_GRUB_MBR,
    damaged::SYSTEMD_BOOT_ALL,
    damaged::GRUB_GPT_ALL,
    damaged::GRUB_UEFI_ALL,
    packages::ON_SYSTEMD_BOOT,
    hundred::ON_SYSTEMD_BOOT,
    hundred::ON_GRUB_GPT,
];
