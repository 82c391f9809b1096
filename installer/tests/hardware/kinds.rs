//! Kinds of computers, each with what is expected of it beside what `nixos-generate-config` would find.

use crate::computer::{AMD, Computer, INTEL, VIRTUAL};

/// A kind.
pub struct Kind {
    /// Its name, as docs/hardware.md has it.
    pub name: &'static str,
    pub computer: Computer,
    /// Modules that NixOS's rules do not find.
    pub more: &'static [&'static str],
    /// Modules that NixOS's rules find, and that are not asked for.
    pub less: &'static [&'static str],
    /// Modules to load at boot.
    pub load: &'static [&'static str],
}

fn kind(
    name: &'static str,
    computer: Computer,
    more: &'static [&'static str],
    less: &'static [&'static str],
    load: &'static [&'static str],
) -> Kind {
    Kind { name, computer, more, less, load }
}

/// All of them.
pub fn all() -> Vec<Kind> {
    const KVM: &[&str] = &["kvm_intel"];
    vec![
        kind(
            "laptop with NVMe and a keyboard on I2C",
            i2c_laptop(),
            &["hid_multitouch", "i2c_designware_platform", "i2c_hid_acpi", "intel_lpss_pci", "pinctrl_tigerlake"],
            &[],
            KVM,
        ),
        kind("desktop with SATA and a USB keyboard", sata_desktop(), &["hid_generic"], &[], &["kvm_amd"]),
        kind("laptop with NVMe behind VMD", vmd_laptop(), &["atkbd", "i8042", "vmd"], &[], KVM),
        kind("server with a RAID card", raid_server(), &["hid_generic"], &[], KVM),
        kind("server with SAS disks behind an expander", sas_server(), &["hid_generic"], &[], &["kvm_amd"]),
        kind("computer that runs from a USB disk", usb_box(), &["atkbd", "i8042"], &[], KVM),
        kind(
            "tablet with eMMC and a keyboard on SPI",
            emmc_tablet(),
            &["hid_generic", "pinctrl_baytrail", "spi_hid", "spi_pxa2xx_platform"],
            &[],
            &[],
        ),
        kind(
            "laptop of Apple's with a keyboard on SPI",
            apple(),
            &["applespi", "intel_lpss_pci", "spi_pxa2xx_platform"],
            &[],
            KVM,
        ),
        kind(
            "laptop with a Surface keyboard",
            surface(),
            &[
                "8250_dw",
                "intel_lpss",
                "surface_aggregator",
                "surface_aggregator_hub",
                "surface_aggregator_registry",
                "surface_hid",
            ],
            &[],
            KVM,
        ),
        kind(
            "desktop with a graphics card, FireWire and a card reader",
            firewire(),
            &["atkbd", "i8042"],
            &[],
            &["kvm_amd"],
        ),
        kind("virtual machine with virtio-blk", virtio(), &["atkbd", "i8042"], &[], &[]),
        kind(
            "virtual machine with virtio-scsi and a USB tablet",
            virtio_scsi(),
            &["atkbd", "i8042"],
            &["xhci_pci"],
            &[],
        ),
        kind("Hyper-V", hyper_v(), &["atkbd", "hv_storvsc", "hv_vmbus", "hyperv_keyboard"], &[], &[]),
        kind("Xen, a guest", xen(), &["xen_blkfront"], &[], &[]),
        kind("VMware with PVSCSI", vmware("vmw_pvscsi"), &["atkbd", "i8042"], &["ehci_pci", "floppy"], &[]),
        kind("VMware with an LSI controller", vmware("mptspi"), &["atkbd", "i8042"], &[], &[]),
        kind("VirtualBox", virtualbox(), &["atkbd", "i8042"], &["ohci_pci"], &[]),
        kind("RAID, LUKS and LVM", raid_luks_lvm(), &["atkbd", "i8042"], &[], KVM),
        kind("btrfs with subvolumes", btrfs(), &["atkbd", "i8042"], &[], KVM),
        kind("ZFS", zfs(), &["hid_generic"], &[], &["kvm_amd"]),
        kind("container of systemd-nspawn", nspawn(), &[], &[], KVM),
    ]
}

/// Intel's USB 3 controller.
fn xhci(pc: &Computer) -> String {
    pc.driven("0000:00:14.0", "0x0c0330", ("0x8086", "0xa36d"), "xhci_hcd", "xhci_pci")
}

fn nvme(pc: &Computer, address: &str, name: &str) -> String {
    let device = pc.driven(address, "0x010802", ("0x144d", "0xa808"), "nvme", "nvme");
    pc.disk(&format!("{name}n1"), &format!("{device}/nvme/{name}"))
}

fn sata(pc: &Computer, name: &str, port: u32) -> String {
    let device = "sys/devices/pci0000:00/0000:00:1f.2";
    if !pc.path(device).exists() {
        pc.driven("0000:00:1f.2", "0x010601", ("0x8086", "0x2922"), "ahci", "ahci");
    }
    pc.scsi_disk(name, &format!("{device}/ata{port}/host{port}"))
}

pub fn i2c_laptop() -> Computer {
    let pc = Computer::new(INTEL);
    pc.dmi("LENOVO", "ThinkPad X1");
    nvme(&pc, "0000:01:00.0", "nvme0");
    xhci(&pc);
    let lpss = pc.driven("0000:00:15.0", "0x0c8000", ("0x8086", "0xa0e8"), "intel-lpss", "intel_lpss_pci");
    let bus = format!("{lpss}/i2c_designware.0");
    pc.bind(&bus, "platform", "i2c_designware", Some("i2c_designware_platform"));
    let chip = format!("{bus}/i2c-0/i2c-ELAN0001:00");
    pc.bind(&chip, "i2c", "i2c_hid_acpi", Some("i2c_hid_acpi"));
    let hid = format!("{chip}/0018:04F3:0001.0001");
    pc.bind(&hid, "hid", "hid-multitouch", Some("hid_multitouch"));
    pc.keyboard("input5", &hid);
    pc.bind("sys/devices/platform/INT34C5:00", "platform", "tigerlake-pinctrl", Some("pinctrl_tigerlake"));
    pc.link("sys/bus/platform/devices/INT34C5:00", "sys/devices/platform/INT34C5:00");
    // For the screen and the network, not for the initrd.
    pc.driven("0000:00:02.0", "0x030000", ("0x8086", "0x9a49"), "i915", "i915");
    pc.driven("0000:00:14.3", "0x028000", ("0x8086", "0xa0f0"), "iwlwifi", "iwlwifi");
    pc.file("sys/firmware/efi/fw_platform_size", "64\n");
    pc.file("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", [6, 0, 0, 0, 1]);
    pc.file("sys/class/tpm/tpm0/tpm_version_major", "2\n");
    pc
}

pub fn sata_desktop() -> Computer {
    let pc = Computer::new(AMD);
    sata(&pc, "sda", 1);
    let usb = xhci(&pc);
    pc.usb_keyboard(&usb);
    // A graphics card and a power button: not for an initrd (NixOS/nixpkgs#485579).
    pc.driven("0000:01:00.0", "0x030000", ("0x10de", "0x1b80"), "nvidia", "nvidia");
    pc.bind("sys/devices/LNXPWRBN:00", "acpi", "button", Some("button"));
    let button = pc.class("input", "input0", "sys/devices/LNXPWRBN:00");
    pc.file(format!("{button}/capabilities/key"), "10000000000000 0\n");
    pc
}

fn vmd_laptop() -> Computer {
    let pc = Computer::new(INTEL);
    // A laptop's is a RAID controller by its class; a server's is none, and NixOS's rules pass it over.
    let vmd = pc.driven("0000:00:0e.0", "0x088000", ("0x8086", "0x201d"), "vmd", "vmd");
    let folder = format!("{vmd}/pci10000:e0/10000:e0:06.0");
    let disk = pc.pci_at(&folder, "10000:e1:00.0", "0x010802", ("0x15b7", "0x5009"));
    pc.bind(&disk, "pci", "nvme", Some("nvme"));
    pc.disk("nvme0n1", &format!("{disk}/nvme/nvme0"));
    pc.ps2_keyboard();
    pc
}

pub fn raid_server() -> Computer {
    let pc = Computer::new(INTEL);
    pc.dmi("Dell Inc.", "PowerEdge R740");
    let card = pc.driven("0000:18:00.0", "0x010400", ("0x1000", "0x005d"), "megaraid_sas", "megaraid_sas");
    pc.scsi_disk("sda", &format!("{card}/host0"));
    let usb = xhci(&pc);
    pc.usb_keyboard(&usb);
    pc.driven("0000:03:00.0", "0x030000", ("0x1a03", "0x2000"), "ast", "ast");
    pc.driven("0000:19:00.0", "0x020000", ("0x14e4", "0x168e"), "bnx2x", "bnx2x");
    pc.file("sys/class/tty/console/active", "tty0 ttyS1\n");
    pc.file("proc/cmdline", "quiet console=tty0 console=ttyS1,57600n8\n");
    pc
}

fn sas_server() -> Computer {
    let pc = Computer::new(AMD);
    let card = pc.driven("0000:41:00.0", "0x010700", ("0x1000", "0x0097"), "mpt3sas", "mpt3sas");
    for (name, slot) in [("sda", 0), ("sdb", 1)] {
        let device = format!(
            "{card}/host0/port-0:0/expander-0:0/port-0:0:{slot}/end_device-0:0:{slot}/target0:0:{slot}/0:0:{slot}:0"
        );
        pc.bind(&device, "scsi", "sd", Some("sd_mod"));
        pc.disk(name, &device);
    }
    let usb = xhci(&pc);
    pc.usb_keyboard(&usb);
    pc
}

fn usb_box() -> Computer {
    let pc = Computer::new(INTEL);
    let usb = xhci(&pc);
    let interface = format!("{usb}/usb2/2-1/2-1:1.0");
    pc.usb(&interface, "08", "50", "usb-storage", "usb_storage");
    pc.scsi_disk("sda", &format!("{interface}/host6"));
    let other = format!("{usb}/usb2/2-2/2-2:1.0");
    pc.usb(&other, "08", "62", "uas", "uas");
    pc.scsi_disk("sdb", &format!("{other}/host7"));
    pc.ps2_keyboard();
    pc
}

pub fn emmc_tablet() -> Computer {
    let pc = Computer::new("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: fpu\n");
    let host = "sys/devices/platform/80860F14:00";
    pc.bind(host, "platform", "sdhci-acpi", Some("sdhci_acpi"));
    let mmc = pc.class("mmc_host", "mmc0", host);
    let card = format!("{mmc}/mmc0:0001");
    pc.bind(&card, "mmc", "mmcblk", Some("mmc_block"));
    pc.file(format!("{card}/type"), "MMC\n");
    pc.disk("mmcblk0", &card);
    let spi = "sys/devices/platform/80860F0E:00";
    pc.bind(spi, "platform", "pxa2xx-spi", Some("spi_pxa2xx_platform"));
    let chip = format!("{spi}/spi_master/spi0/spi0.0");
    pc.bind(&chip, "spi", "spi_hid", Some("spi_hid"));
    let hid = format!("{chip}/001C:045E:0C19.0001");
    pc.bind(&hid, "hid", "hid-generic", Some("hid_generic"));
    pc.keyboard("input2", &hid);
    pc.bind("sys/devices/platform/INT33FC:00", "platform", "byt_gpio-pinctrl", Some("pinctrl_baytrail"));
    pc.link("sys/bus/platform/devices/INT33FC:00", "sys/devices/platform/INT33FC:00");
    pc.file("sys/firmware/efi/fw_platform_size", "32\n");
    pc
}

fn apple() -> Computer {
    let pc = Computer::new(INTEL);
    pc.dmi("Apple Inc.", "MacBookPro14,1");
    nvme(&pc, "0000:04:00.0", "nvme0");
    let lpss = pc.driven("0000:00:1e.3", "0x118000", ("0x8086", "0x9d2a"), "intel-lpss", "intel_lpss_pci");
    let spi = format!("{lpss}/pxa2xx-spi.3");
    pc.bind(&spi, "platform", "pxa2xx-spi", Some("spi_pxa2xx_platform"));
    let chip = format!("{spi}/spi_master/spi3/spi-APP000D:00");
    pc.bind(&chip, "spi", "applespi", Some("applespi"));
    pc.keyboard("input1", &chip);
    pc
}

pub fn surface() -> Computer {
    let pc = Computer::new(INTEL);
    pc.dmi("Microsoft Corporation", "Surface Laptop 3");
    nvme(&pc, "0000:01:00.0", "nvme0");
    let lpss = pc.driven("0000:00:1e.0", "0x078000", ("0x8086", "0x34a8"), "intel-lpss", "intel_lpss");
    let port = format!("{lpss}/dw-apb-uart.3");
    pc.bind(&port, "platform", "dw-apb-uart", Some("8250_dw"));
    let hub = format!("{port}/serial0/serial0-0");
    pc.bind(&hub, "serial", "surface_serial_hub", Some("surface_aggregator"));
    let board = format!("{hub}/01:15:02:01:00");
    pc.bind(&board, "surface_aggregator", "surface_hid", Some("surface_hid"));
    pc.keyboard("input7", &board);
    pc.loaded("surface_aggregator_registry");
    pc.loaded("surface_aggregator_hub");
    pc
}

fn firewire() -> Computer {
    let pc = Computer::new(AMD);
    sata(&pc, "sda", 1);
    pc.driven("0000:05:00.0", "0x0c0010", ("0x104c", "0x8024"), "firewire_ohci", "firewire_ohci");
    pc.driven("0000:01:00.0", "0x030000", ("0x1002", "0x67df"), "amdgpu", "amdgpu");
    // No card is in it now.
    let reader = pc.driven("0000:02:00.0", "0x080501", ("0x10ec", "0x5227"), "sdhci-pci", "sdhci_pci");
    pc.class("mmc_host", "mmc0", &reader);
    pc.ps2_keyboard();
    pc
}

pub fn virtio() -> Computer {
    let pc = Computer::new(VIRTUAL);
    pc.dmi("QEMU", "Standard PC (Q35 + ICH9, 2009)");
    let disk = pc.driven("0000:00:04.0", "0x010000", ("0x1af4", "0x1001"), "virtio-pci", "virtio_pci");
    let virtio = format!("{disk}/virtio1");
    pc.bind(&virtio, "virtio", "virtio_blk", Some("virtio_blk"));
    pc.disk("vda", &virtio);
    let network = pc.driven("0000:00:03.0", "0x020000", ("0x1af4", "0x1000"), "virtio-pci", "virtio_pci");
    pc.class("net", "enp0s3", &network);
    pc.ps2_keyboard();
    pc
}

pub fn virtio_scsi() -> Computer {
    let pc = Computer::new(VIRTUAL);
    pc.dmi("QEMU", "Standard PC (i440FX + PIIX, 1996)");
    let card = pc.driven("0000:00:05.0", "0x010000", ("0x1af4", "0x1004"), "virtio-pci", "virtio_pci");
    let virtio = format!("{card}/virtio2");
    pc.bind(&virtio, "virtio", "virtio_scsi", Some("virtio_scsi"));
    pc.scsi_disk("sda", &format!("{virtio}/host2"));
    // What shows where the pointer is: no keyboard, no disk.
    xhci(&pc);
    pc.ps2_keyboard();
    pc
}

pub fn hyper_v() -> Computer {
    let pc = Computer::new(VIRTUAL);
    pc.dmi("Microsoft Corporation", "Virtual Machine");
    let bus = "sys/devices/LNXSYSTM:00/LNXSYBUS:00/ACPI0004:00/MSFT1000:00";
    pc.bind(bus, "acpi", "hv_vmbus", Some("hv_vmbus"));
    let disk = format!("{bus}/d34b2567-b9b6-42b9-8778-0a4ec0b955bf");
    pc.bind(&disk, "vmbus", "hv_storvsc", Some("hv_storvsc"));
    pc.scsi_disk("sda", &format!("{disk}/host0"));
    let keyboard = format!("{bus}/f912ad6d-2b17-48ea-bd65-f927a61c7684");
    pc.bind(&keyboard, "vmbus", "hyperv_keyboard", Some("hyperv_keyboard"));
    let serio = format!("{keyboard}/serio1");
    pc.bind(&serio, "serio", "atkbd", Some("atkbd"));
    pc.keyboard("input1", &serio);
    pc
}

fn xen() -> Computer {
    let pc = Computer::new("vendor_id\t: GenuineIntel\nflags\t\t: fpu\n");
    pc.file("sys/hypervisor/type", "xen\n");
    let disk = "sys/devices/vbd-51712";
    pc.bind(disk, "xen", "vbd", None);
    pc.disk("xvda", disk);
    pc
}

pub fn vmware(scsi: &str) -> Computer {
    let pc = Computer::new(VIRTUAL);
    pc.dmi("VMware, Inc.", "VMware Virtual Platform");
    let card = pc.driven("0000:03:00.0", "0x010000", ("0x15ad", "0x07c0"), scsi, scsi);
    pc.scsi_disk("sda", &format!("{card}/host0"));
    let ide = pc.driven("0000:00:07.1", "0x01018a", ("0x8086", "0x7111"), "ata_piix", "ata_piix");
    let cd = format!("{ide}/ata2/host2/target2:0:0/2:0:0:0");
    pc.bind(&cd, "scsi", "sr", Some("sr_mod"));
    pc.disk("sr0", &cd);
    pc.bind("sys/devices/platform/floppy.0", "platform", "floppy", Some("floppy"));
    pc.disk("fd0", "sys/devices/platform/floppy.0");
    pc.driven("0000:02:03.0", "0x0c0320", ("0x15ad", "0x0770"), "ehci-pci", "ehci_pci");
    pc.ps2_keyboard();
    pc
}

fn virtualbox() -> Computer {
    let pc = Computer::new(VIRTUAL);
    pc.dmi("innotek GmbH", "VirtualBox");
    sata(&pc, "sda", 1);
    pc.driven("0000:00:06.0", "0x0c0310", ("0x106b", "0x003f"), "ohci-pci", "ohci_pci");
    pc.ps2_keyboard();
    pc
}

/// Two disks, an array, encryption, and two volumes; an EFI system partition beside them.
pub fn raid_luks_lvm() -> Computer {
    let pc = Computer::new(INTEL);
    for (name, port) in [("sda", 1), ("sdb", 2)] {
        let disk = sata(&pc, name, port);
        pc.partition(&disk, 1, &[("ID_FS_TYPE", "vfat"), ("ID_FS_UUID", "ABCD-000")]);
        pc.partition(&disk, 2, &[("ID_FS_TYPE", "linux_raid_member"), ("ID_FS_USAGE", "raid")]);
    }
    pc.ps2_keyboard();
    let luks = [("ID_FS_TYPE", "crypto_LUKS"), ("ID_FS_USAGE", "crypto"), ("ID_FS_UUID", "11111111-luks")];
    pc.upon(&["sda2", "sdb2"], "md127", &[("md/level", "raid1"), ("md/uuid", "a:b")], &luks);
    pc.upon(&["md127"], "dm-0", &[("dm/uuid", "CRYPT-LUKS2-1111-cryptroot"), ("dm/name", "cryptroot")], &[]);
    let root = [("ID_FS_TYPE", "ext4"), ("ID_FS_UUID", "22222222-root")];
    pc.upon(&["dm-0"], "dm-1", &[("dm/uuid", "LVM-1"), ("dm/name", "vg-root")], &root);
    let swap = [("ID_FS_TYPE", "swap"), ("ID_FS_UUID", "33333333-swap")];
    pc.upon(&["dm-0"], "dm-2", &[("dm/uuid", "LVM-2"), ("dm/name", "vg-swap")], &swap);
    pc.mount("dm-1", "ext4", "/", "rw,noatime");
    pc.mount("sda1", "vfat", "/boot", "rw,relatime");
    pc.swap("dm-2");
    pc
}

/// btrfs with three subvolumes on LUKS, swap that is encrypted anew at every boot, and a bind mount.
pub fn btrfs() -> Computer {
    let pc = Computer::new(INTEL);
    let disk = nvme(&pc, "0000:01:00.0", "nvme0");
    pc.ps2_keyboard();
    let luks = [("ID_FS_TYPE", "crypto_LUKS"), ("ID_FS_UUID", "aaaa-luks")];
    let root = pc.partition(&disk, 2, &luks);
    let swap = pc.partition(&disk, 3, &[("ID_PART_ENTRY_UUID", "part-three")]);
    let held = [("ID_FS_TYPE", "btrfs"), ("ID_FS_UUID", "bbbb-btrfs")];
    pc.upon(&[&root], "dm-0", &[("dm/uuid", "CRYPT-LUKS2-aaaa-root"), ("dm/name", "root")], &held);
    pc.upon(&[&swap], "dm-1", &[("dm/uuid", "CRYPT-PLAIN-swap"), ("dm/name", "swap")], &[]);
    for (subvolume, point) in [("/@", "/"), ("/@home", "/home"), ("/@nix", "/nix")] {
        let rest =
            format!("btrfs /dev/mapper/root rw,compress=zstd:1,ssd,space_cache=v2,subvolid=256,subvol={subvolume}");
        pc.mount_as("0:30", subvolume, point, "rw,noatime", &rest);
    }
    let rest = "btrfs /dev/mapper/root rw,compress=zstd:1,subvolid=257,subvol=/@home";
    pc.mount_as("0:30", "/@home/ann/music", "/srv/music", "rw,noatime", rest);
    // The store, again, read only.
    let rest = "btrfs /dev/mapper/root rw,compress=zstd:1,subvolid=258,subvol=/@nix";
    pc.mount_as("0:30", "/@nix/store", "/nix/store", "ro,noatime", rest);
    pc.swap("dm-1");
    pc
}

pub fn zfs() -> Computer {
    let pc = Computer::new(AMD);
    let disk = nvme(&pc, "0000:01:00.0", "nvme0");
    let usb = xhci(&pc);
    pc.usb_keyboard(&usb);
    pc.partition(&disk, 1, &[("ID_FS_TYPE", "zfs_member"), ("ID_FS_LABEL", "tank")]);
    pc.mount_as("0:40", "/", "/", "rw,relatime", "zfs tank/root rw,xattr,noacl");
    pc.mount_as("0:41", "/", "/home", "rw,nosuid,noatime", "zfs tank/home rw,xattr,noacl");
    pc.file("etc/hostid", 0xdead_beef_u32.to_le_bytes());
    pc
}

fn nspawn() -> Computer {
    let pc = Computer::new(INTEL);
    pc.file("run/systemd/container", "systemd-nspawn\n");
    pc
}
