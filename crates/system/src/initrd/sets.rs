//! Which modules an initrd asks for when nobody names any.

/// What a generic initrd holds: whatever may stand between a common machine and its root file system. Names that a
/// kernel does not have are passed over.
///
/// Buses and controllers first, then disks, then what USB disks and keyboards need, then file systems.
pub const GENERIC: [&str; 43] = [
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "nvme",
    "vmd",
    "ahci",
    "ata_piix",
    "ata_generic",
    "pata_acpi",
    "sata_nv",
    "sata_sil",
    "sata_sil24",
    "sata_via",
    "sd_mod",
    "sr_mod",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "megaraid_sas",
    "mpt3sas",
    "mptspi",
    "mptsas",
    "vmw_pvscsi",
    "hv_storvsc",
    "hv_vmbus",
    "xen_blkfront",
    "xhci_pci",
    // Cards with this maker's controllers have a driver of their own, which loads firmware.
    "xhci_pci_renesas",
    "ehci_pci",
    "ohci_pci",
    "uhci_hcd",
    "usb_storage",
    "uas",
    "usbhid",
    "hid_generic",
    "atkbd",
    "i8042",
    "vfat",
    "nls_cp437",
    "nls_iso8859_1",
    "nls_ascii",
    "efivarfs",
];

/// Hardware watchdogs, and the buses behind which some of them sit. They are in every initrd of a machine that wants one
/// to watch: what is not covered from the start is what most needs it.
pub const WATCHDOGS: [&str; 7] = ["i6300esb", "iTCO_wdt", "lpc_ich", "i2c_i801", "wdat_wdt", "sp5100_tco", "hpwdt"];

/// What every initrd holds, whatever the hardware: the root is an ext4 under overlays, and systemd asks for autofs.
pub const ALWAYS: [&str; 3] = ["ext4", "overlay", "autofs4"];
