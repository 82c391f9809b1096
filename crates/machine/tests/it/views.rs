//! What follows from the machine file and the hardware file together, and places for problems that show later.

use crate::common::LEAST;
use cairn_machine::{FilePurpose, SourceFile, check, check_hardware};

const HARDWARE: &str = "version: 1\narchitecture: x86-64\nseed: 8a1e4f0c-2b4b-4e3b-9d6a-5f1f5c0c9b11\n\
    initrd_modules: [nvme, xhci-pci]\nkernel_modules: [kvm_intel]\nkernel_parameters: [intel_iommu=on]\n";

fn with_hardware(text: &str, hardware: &str) -> Result<cairn_machine::Checked, cairn_machine::Problems> {
    let file = SourceFile::new("m.yaml", text);
    check(&file, &mut |path| {
        assert_eq!(path, "hw.yaml");
        Ok(hardware.as_bytes().to_vec())
    })
}

#[test]
fn the_hardware_file_is_merged() {
    let text = format!(
        "{LEAST}hardware: hw.yaml\nkernel_modules: {{load: [br_netfilter, kvm-intel], initrd: [mptspi, nvme]}}\n\
         boot: {{kernel_parameters: [quiet], consoles: [tty0]}}\n"
    );
    let checked = with_hardware(&text, HARDWARE).unwrap();
    assert_eq!(checked.seed().to_string(), "8a1e4f0c-2b4b-4e3b-9d6a-5f1f5c0c9b11");
    assert_eq!(checked.initrd_modules().unwrap(), ["nvme", "xhci-pci", "mptspi"]);
    assert_eq!(checked.boot_modules(), ["kvm_intel", "br_netfilter"]);
    assert_eq!(checked.kernel_parameters(), ["console=tty0", "intel_iommu=on", "quiet"]);

    let own_seed = format!("{text}seed: 00000000-0000-4000-8000-000000000001\n");
    assert_eq!(with_hardware(&own_seed, HARDWARE).unwrap().seed().to_string(), "00000000-0000-4000-8000-000000000001");
}

#[test]
fn without_a_hardware_file_the_seed_follows_from_the_name() {
    let checked = crate::common::check(LEAST).unwrap();
    assert_eq!(checked.initrd_modules(), None);
    // A change here would give every machine without a seed other identifiers.
    assert_eq!(checked.seed().to_string(), "d1e1c80a-f3c3-586f-8c6b-16923c361a23");
    assert_ne!(crate::common::check(&LEAST.replace("least", "other")).unwrap().seed(), checked.seed());
}

#[test]
fn mistakes_in_both_files_are_told_together() {
    let text = format!("{LEAST}hardware: hw.yaml\nzzz: 1\n");
    let problems = with_hardware(&text, "version: 1\ninitrd_modules: [a.ko]\nsed: x\n").unwrap_err().to_string();
    let lines: Vec<&str> = problems.lines().filter(|line| !line.starts_with("  help")).collect();
    assert_eq!(
        lines,
        [
            "m.yaml:6:1: unknown key `zzz`",
            "hw.yaml:2:18: `a.ko` is not the name of a kernel module",
            "hw.yaml:3:1: unknown key `sed`",
        ]
    );
}

#[test]
fn a_hardware_file_that_cannot_be_read_is_a_problem_of_the_machine_file() {
    let found = crate::common::problems(&format!("{LEAST}hardware: hw.yaml\n"));
    assert!(found.starts_with("5:11: reading `hw.yaml`: no such file"), "{found}");
    let empty = with_hardware(&format!("{LEAST}hardware: hw.yaml\n"), "").unwrap_err().to_string();
    assert!(empty.starts_with("hw.yaml:1:1: the file is empty"), "{empty}");
}

#[test]
fn a_hardware_file_is_checked_by_itself() {
    assert_eq!(check_hardware(&SourceFile::new("h", HARDWARE)).unwrap().initrd_modules.len(), 2);
    let problems = check_hardware(&SourceFile::new("h", "version: 3\n")).unwrap_err();
    assert!(problems.to_string().starts_with("h:1:10: version: 3 is not known"));
}

#[test]
fn later_problems_get_the_place_of_their_value() {
    let text = format!(
        "{LEAST}users:\n  alice:\n    shell: /bin/nosh\n    hashed_password_file: a.password\nfiles:\n  /etc/a/b:\n    source: x\n"
    );
    let checked = crate::common::check(&text).unwrap();
    assert_eq!(checked.problem("/users/alice/shell", "no such shell", None).to_string(), "m.yaml:7:12: no such shell");
    // A mapping is reported at its key; a default at what would hold it.
    assert_eq!(checked.position_of("/users/alice").unwrap().to_string(), "6:3");
    assert_eq!(checked.position_of("/source/debian/kernel"), None);
    assert_eq!(checked.problem("/source/debian/kernel", "unknown", None).to_string(), "m.yaml:3:10: unknown");
    assert_eq!(checked.problem("", "all of it", None).to_string(), "m.yaml:1:1: all of it");
    let named = checked.named_files();
    assert_eq!((named[0].path.as_str(), named[0].pointer.as_str()), ("x", "/files/~1etc~1a~1b/source"));
    assert_eq!(checked.position_of(&named[0].pointer).unwrap().to_string(), "11:13");
    assert_eq!(named[1].purpose, FilePurpose::PasswordHash("alice".into()));
}

#[test]
fn files_of_the_boot_partition_are_named_too() {
    let text = format!("{LEAST}boot:\n  files:\n    EFI/tools/a.efi: {{source: a.efi}}\n    b: {{text: x}}\n");
    let named = crate::common::check(&text).unwrap().named_files();
    assert_eq!(named.len(), 1);
    assert_eq!((named[0].path.as_str(), named[0].pointer.as_str()), ("a.efi", "/boot/files/EFI~1tools~1a.efi/source"));
    assert_eq!(named[0].purpose, FilePurpose::BootFile("EFI/tools/a.efi".into()));
}

#[test]
fn a_root_in_an_mbr_grows_because_the_kernels_command_line_says_so() {
    let parameters = |disk: &str| {
        let text = format!("{}boot: {{loader: grub, consoles: []}}\n", LEAST.replace("{layout: uefi}", disk));
        crate::common::check(&text).unwrap().kernel_parameters()
    };
    assert_eq!(parameters("{layout: mbr}"), ["cairn.grow"]);
    assert_eq!(parameters("{layout: bios}"), [""; 0]);
    let fixed = "{table: mbr, partitions: [{type: xbootldr}, {type: root, grow: false}]}";
    assert_eq!(parameters(fixed), [""; 0]);
}
