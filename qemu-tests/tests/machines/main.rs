//! Scenarios that build images and boot machines with the built command, each in a file of its own.

mod after_medium;
mod another_language;
mod as_recorded;
mod asks;
mod asks_by_hand;
mod asks_gives_up;
mod asks_rich;
mod bad_luck;
mod beside_debian;
mod builds_agree;
mod captures;
mod disks;
mod from_medium;
mod generations;
mod grows;
mod install_bad_luck;
mod install_cuts;
mod install_firmware;
mod install_signatures;
mod installs;
mod interrupted;
mod judged_by_others;
mod kernels;
mod logs_in;
mod medium;
mod medium_in_use;
mod networks;
mod on_hardware;
mod on_the_screen;
mod own_keys;
mod own_var;
mod packages;
mod renew_cuts;
mod run_shows_it;
mod secure_boot;
mod shares_blocks;
mod shares_esp;
mod two_at_once;
mod verified;
mod verify_fails_by_name;
mod wifi;

use qemu_tests::Scenario;

/// In the order in which they are listed; every one works alone.
const ALL: &[Scenario] = &[
    judged_by_others::SCENARIO,
    verified::AS_DECLARED,
    verify_fails_by_name::SCENARIO,
    another_language::SCENARIO,
    networks::SCENARIO,
    builds_agree::FOLDERS,
    builds_agree::NO_NETWORK,
    builds_agree::CAPTURED,
    builds_agree::ORDINARY_USER,
    captures::SCENARIO,
    shares_blocks::XFS,
    shares_blocks::BTRFS,
    grows::SCENARIO,
    grows::MBR,
    logs_in::SERIAL,
    logs_in::SCREEN,
    medium::SCENARIO,
    secure_boot::ON_SYSTEMD_BOOT,
    own_keys::SCENARIO,
    own_var::SCENARIO,
    installs::WHOLE,
    installs::AGAIN,
    installs::RENEWED,
    installs::BESIDE,
    installs::UNATTENDED,
    shares_esp::SHARED,
    install_bad_luck::ENDED,
    install_bad_luck::DISKS,
    install_signatures::SCENARIO,
    install_firmware::STAND_IN,
    install_cuts::BESIDE,
    asks::SCENARIO,
    asks_rich::SCENARIO,
    disks::SCENARIO,
    run_shows_it::SCENARIO,
    as_recorded::SCENARIO,
    interrupted::IMAGE,
    interrupted::BASE,
    two_at_once::SCENARIO,
    bad_luck::DISK_FULL,
    bad_luck::OUTPUT_IS_NO_PLACE,
    bad_luck::NO_QEMU,
];

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let whole_table = std::env::var_os("CAIRN_WHOLE_TABLE").is_some();
    let rest: &[&[Scenario]] = if whole_table {
        &[
            generations::REST,
            kernels::REST,
            on_hardware::REST,
            beside_debian::REST,
            install_firmware::REST,
            install_cuts::REST,
            after_medium::REST,
            from_medium::REST,
            medium_in_use::REST,
            on_the_screen::REST,
            secure_boot::REST,
            own_keys::REST,
            packages::REST,
            &[
                wifi::SCENARIO,
                installs::REHEARSED,
                installs::REHEARSED_RECORDED,
                run_shows_it::REST,
                renew_cuts::REST,
                asks_gives_up::SCENARIO,
                asks_by_hand::SCENARIO,
            ],
        ]
    } else {
        &[]
    };
    let scenarios =
        [ALL, generations::CHOSEN, kernels::CHOSEN, on_hardware::CHOSEN, from_medium::CHOSEN, packages::CHOSEN]
            .iter()
            .chain(rest)
            .copied()
            .flatten();
    let trials = scenarios.map(|scenario| scenario.trial()).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
