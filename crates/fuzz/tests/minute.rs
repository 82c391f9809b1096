//! Every reader meets its corpus and a fixed number of mutations of it: about a minute for all of them.

use std::path::PathBuf;

use cairn_fuzz::numbers::Numbers;
use cairn_fuzz::{TARGETS, Target, mutate};
use nix::sys::resource::{Resource, setrlimit};

/// What a reader may take: memory for one input with the test's own, and the time of a processor for all.
const MEMORY: u64 = 256 << 20;
const SECONDS: u64 = 240;

/// Inputs that were worth keeping.
fn corpus(target: &Target) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name);
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn meets_its_inputs(name: &str) {
    let target = cairn_fuzz::targets::find(name).unwrap();
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    // Once with all the memory that making a good image takes.
    (target.run)(&seeds[0]);
    setrlimit(Resource::RLIMIT_CPU, SECONDS, SECONDS).unwrap();
    let used = used();
    setrlimit(Resource::RLIMIT_AS, used + MEMORY, used + MEMORY).unwrap();
    let inputs: Vec<Vec<u8>> = seeds.into_iter().chain(corpus(target)).collect();
    let mut numbers = Numbers::new(name.len() as u64);
    inputs.iter().for_each(|input| (target.run)(input));
    for _ in 0..target.quick {
        let mut input = inputs[numbers.below(inputs.len())].clone();
        mutate::mutate(&mut input, target.most, &inputs, target.words, &mut numbers);
        (target.run)(&input);
    }
}

/// The address space that is taken.
fn used() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096
}

macro_rules! readers {
    ($($test:ident: $name:literal,)*) => {
        $(#[test] fn $test() { meets_its_inputs($name); })*

        #[test]
        fn no_reader_is_forgotten() {
            let tested = [$($name),*];
            let all: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(all, tested);
        }
    };
}

readers! {
    machine_file: "machine-file",
    hardware_file: "hardware-file",
    lock_file: "lock-file",
    boot_json: "boot-json",
    boot_record: "boot-record",
    entry_name: "entry-name",
    env_block: "env-block",
    load_option: "load-option",
    firmware: "firmware",
    boot_menu: "boot-menu",
    registration: "registration",
    store_record: "store-record",
    listing: "listing",
    signing_key: "signing-key",
    nix_database: "nix-database",
    store_path: "store-path",
    partition_table: "partition-table",
    fat: "fat",
    ext4: "ext4",
    ntfs: "ntfs",
    boot_code: "boot-code",
    qcow2: "qcow2",
    image: "image",
    accounts: "accounts",
    given_record: "given-record",
    modes: "modes",
    kernel_command_line: "kernel-command-line",
    grow_table: "grow-table",
    medium_tag: "medium-tag",
    unit_list: "unit-list",
    var_trees: "var-trees",
    elf: "elf",
    signed_program: "signed-program",
    kernel_modules: "kernel-modules",
    named_file: "named-file",
    computer: "computer",
    system: "system",
}
