//! `hardware-configuration.nix`.

use cairn_process::Tool;
use serde_json::Value;

use crate::computer::{Computer, INTEL};
use crate::kinds;

/// The lines of a file, without what stands before them.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

#[track_caller]
fn has(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(lines(text).contains(line), "no line `{line}` in:\n{text}");
    }
}

/// What Nix makes of a file, with what NixOS would give it; nothing, where there is no Nix.
fn evaluated(text: &str) -> Option<Value> {
    if cairn_process::find("nix-instantiate").is_none() {
        cairn_testkit::skip("nix-instantiate is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("it.nix"), text).unwrap();
    let given = "{ config = { hardware.enableRedistributableFirmware = true; boot.kernelPackages.broadcom_sta = \"sta\"; }; \
                 lib = { mkDefault = x: x; getName = x: x; }; pkgs = { }; modulesPath = \"/m\"; }";
    let call = format!("import {} {given}", folder.path().join("it.nix").display());
    let nix = Tool::new("nix-instantiate", "nix-bin", "read a file of Nix");
    // Nothing of this machine's own Nix is read or made.
    let nix = nix.env("NIX_STATE_DIR", folder.path()).env("NIX_STORE_DIR", folder.path().join("store"));
    let nix = nix.args(["--eval", "--strict", "--json", "--store", "dummy://", "-E", &call]);
    let said = nix.output().unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    Some(serde_json::from_slice(&said).unwrap())
}

/// Nix itself has the last word.
#[test]
fn every_kind_gives_a_file_whose_values_nix_reads() {
    for kinds::Kind { name, computer, .. } in kinds::all() {
        let Some(value) = evaluated(&computer.nix()) else { return };
        let modules: Vec<&str> = value["boot"]["initrd"]["availableKernelModules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|module| module.as_str().unwrap())
            .collect();
        for module in computer.by_the_rules_of_nixos() {
            assert!(modules.contains(&module.as_str()), "{name}: no {module} in {modules:?}");
        }
        assert_eq!(value["nixpkgs"]["hostPlatform"], "x86_64-linux", "{name}");
    }
}

#[test]
fn modules_and_what_a_machine_runs_in() {
    let laptop = kinds::i2c_laptop().nix();
    has(
        &laptop,
        &[
            "(modulesPath + \"/installer/scan/not-detected.nix\")",
            "boot.kernelModules = [ \"kvm-intel\" ];",
            "boot.initrd.kernelModules = [ ];",
            "nixpkgs.hostPlatform = lib.mkDefault \"x86_64-linux\";",
            "hardware.cpu.intel.updateMicrocode = lib.mkDefault config.hardware.enableRedistributableFirmware;",
            "swapDevices = [ ];",
        ],
    );
    assert!(laptop.contains("\"i2c_hid_acpi\" \"intel_lpss_pci\" \"nvme\""), "{laptop}");
    let virtio = kinds::virtio_scsi().nix();
    has(&virtio, &["(modulesPath + \"/profiles/qemu-guest.nix\")", "boot.kernelModules = [ ];"]);
    assert!(virtio.contains("\"xhci_pci\""), "NixOS's kernel has what Debian's default kernel lacks\n{virtio}");
    assert!(!virtio.contains("updateMicrocode"));
    has(&kinds::hyper_v().nix(), &["virtualisation.hypervGuest.enable = true;"]);
    has(&kinds::raid_server().nix(), &["boot.kernelParams = [ \"console=tty0\" \"console=ttyS1,57600n8\" ];"]);
    has(
        &kinds::virtio().nix(),
        &["networking.useDHCP = lib.mkDefault true;", "# networking.interfaces.enp0s3.useDHCP = lib.mkDefault true;"],
    );
}

#[test]
fn layers_below_a_file_system_and_below_swap_are_opened_and_put_together() {
    let text = kinds::raid_luks_lvm().nix();
    has(
        &text,
        &[
            "boot.initrd.kernelModules = [ \"dm-snapshot\" ];",
            "boot.swraid.enable = true;",
            "boot.initrd.luks.devices.\"cryptroot\".device = \"/dev/disk/by-uuid/11111111-luks\";",
            "{ device = \"/dev/disk/by-uuid/22222222-root\";",
            "options = [ \"noatime\" ];",
            "{ device = \"/dev/disk/by-uuid/ABCD-000\";",
            "{ device = \"/dev/disk/by-uuid/33333333-swap\"; }",
        ],
    );
    // Swap alone on an encrypted device is enough.
    let pc = Computer::new(INTEL);
    let disk = pc.driven("0000:01:00.0", "0x010802", ("0x144d", "0xa808"), "nvme", "nvme");
    let disk = pc.disk("nvme0n1", &format!("{disk}/nvme/nvme0"));
    let below = pc.partition(&disk, 1, &[("ID_FS_TYPE", "crypto_LUKS"), ("ID_FS_UUID", "luks")]);
    pc.upon(&[&below], "dm-0", &[("dm/uuid", "CRYPT-LUKS2-x-swap"), ("dm/name", "swap")], &[("ID_FS_UUID", "its")]);
    pc.swap("dm-0");
    has(&pc.nix(), &["boot.initrd.luks.devices.\"swap\".device = \"/dev/disk/by-uuid/luks\";"]);
}

#[test]
fn subvolumes_and_their_options_are_kept() {
    let text = kinds::btrfs().nix();
    has(
        &text,
        &[
            "options = [ \"noatime\" \"compress=zstd:1\" \"subvol=@\" ];",
            "options = [ \"noatime\" \"compress=zstd:1\" \"subvol=@home\" ];",
            "boot.initrd.luks.devices.\"root\".device = \"/dev/disk/by-uuid/aaaa-luks\";",
            "{ device = \"/dev/disk/by-partuuid/part-three\"; randomEncryption.enable = true; }",
            "fileSystems.\"/srv/music\" =",
            "{ device = \"/home/ann/music\";",
            "options = [ \"bind\" ];",
        ],
    );
    assert!(!text.contains("fileSystems.\"/nix/store\""), "the store is part of /nix\n{text}");
    assert!(!text.contains("luks.devices.\"swap\""), "it has no key to ask for\n{text}");
}

#[test]
fn zfs_keeps_the_number_of_its_host() {
    let pc = kinds::zfs();
    has(
        &pc.nix(),
        &[
            "networking.hostId = \"deadbeef\";",
            "{ device = \"tank/root\";",
            "fsType = \"zfs\";",
            "options = [ \"nosuid\" \"noatime\" ];",
        ],
    );
    std::fs::remove_file(pc.path("etc/hostid")).unwrap();
    assert!(pc.nix().contains("# networking.hostId = "));
}

#[test]
fn what_is_not_a_systems_own_is_left_out_or_told() {
    let pc = kinds::raid_luks_lvm();
    let passing = [
        ("0:5", "/", "/proc", "proc proc rw"),
        ("0:6", "/", "/run/user/0", "tmpfs tmpfs rw"),
        ("0:7", "/", "/tmp", "tmpfs tmpfs rw"),
        ("0:8", "/", "/var", "tmpfs tmpfs rw,size=4k"),
        ("0:9", "/", "/lib/x", "overlay overlay rw"),
        ("0:10", "/", "/media/x", "fuse.sshfs host: rw"),
    ];
    for (number, root, point, rest) in passing {
        pc.mount_as(number, root, point, "rw", rest);
    }
    pc.upon(&[], "loop0", &[("loop/backing_file", "/var/disk.img")], &[]);
    pc.mount("loop0", "ext4", "/mnt", "rw");
    pc.swap_file("/swapfile");
    let text = pc.nix();
    for point in ["/proc", "/run/user/0", "/tmp", "/lib/x", "/media/x"] {
        assert!(!text.contains(&format!("fileSystems.\"{point}\"")), "{point}\n{text}");
    }
    assert!(text.contains("# Not here: /lib/x: an overlay"), "{text}");
    assert!(text.contains("# Not here: /media/x: a file system in user space"), "{text}");
    has(
        &text,
        &[
            "options = [ \"size=4k\" ];",
            "{ device = \"/var/disk.img\";",
            "options = [ \"loop\" ];",
            "{ device = \"/swapfile\"; }",
        ],
    );
}

#[test]
fn nothing_that_a_disk_says_becomes_an_expression() {
    let pc = Computer::new(INTEL);
    let disk = pc.driven("0000:01:00.0", "0x010802", ("0x144d", "0xa808"), "nvme", "nvme");
    let disk = pc.disk("nvme0n1", &format!("{disk}/nvme/nvme0"));
    pc.partition(&disk, 1, &[("ID_FS_UUID", "x\";evil=\""), ("ID_FS_LABEL", "${builtins.abort 1}")]);
    pc.mount("nvme0n1p1", "ext4", "/a\"${x}", "rw");
    let text = pc.nix();
    has(&text, &["fileSystems.\"/a\\\"\\${x}\" =", "{ device = \"/dev/nvme0n1p1\";"]);
    let Some(value) = evaluated(&text) else { return };
    assert_eq!(value["fileSystems"]["/a\"${x}"]["device"], "/dev/nvme0n1p1");
    assert!(value.get("evil").is_none());
}
