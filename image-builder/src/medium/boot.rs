//! What a medium starts by: the files of its EFI system partition, and what a BIOS loads.

use anyhow::Context;
use bootloader_templates::grub::{EMBEDDED, MEDIUM_FOLDER, MediumMenu, SCRIPT, to_medium_menu};
use cairn_disk::fat::FatFile;
use cairn_disk::medium::volume_id;
use cairn_make::live::Live;
use cairn_system::grub::{EarlyScript, Platform, boot_sector, core_image};
use cairn_system::read_in_base;

/// The memory test is there under this name, for UEFI and for a BIOS.
const MEMTEST: [(&str, &str); 2] =
    [("boot/memtest86+x64.efi", "memtest.efi"), ("boot/memtest86+x64.bin", "memtest.bin")];

/// Debian's signed chain, by the paths that a firmware, and each program after it, looks for: shim, GRUB as it is made for CDs, the keys' manager.
const SIGNED: [(&str, &str, &str); 3] = [
    ("usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI", "shim-signed"),
    ("usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed", "EFI/BOOT/grubx64.efi", "grub-efi-amd64-signed"),
    ("usr/lib/shim/mmx64.efi.signed", "EFI/BOOT/mmx64.efi", "shim-helpers-amd64-signed"),
];

/// All of it.
#[derive(Debug)]
pub struct BootFiles {
    /// The files of the EFI system partition.
    pub esp: Vec<FatFile>,
    /// What of that a GRUB finds in the CD's own file system.
    pub cd: Vec<(String, Vec<u8>)>,
    /// GRUB's boot sector.
    pub sector: [u8; 512],
    /// Its core image.
    pub core: Vec<u8>,
}

/// Makes it for a payload with this hash.
///
/// # Errors
/// When the medium's base lacks something.
pub fn boot_files(live: &Live, title: String, root: &[u8; 32]) -> anyhow::Result<BootFiles> {
    let base = live.base.as_path();
    let there = |path: &str, package: &str| -> anyhow::Result<Vec<u8>> {
        let bytes = read_in_base(base, path).with_context(|| format!("reading {path} of {}", base.display()))?;
        bytes.with_context(|| format!("the medium's base has no {path}: the package {package} is missing in it"))
    };
    let mut esp = Vec::new();
    for (path, name, package) in SIGNED {
        esp.push(FatFile::from_bytes(name, there(path, package)?));
    }
    esp.push(FatFile::from_bytes("linux", live.kernel.as_slice()));
    esp.push(FatFile::from_bytes("initrd", live.initrd.as_slice()));
    let mut memtest = [false; 2];
    for ((path, name), has) in MEMTEST.into_iter().zip(&mut memtest) {
        if let Some(bytes) = read_in_base(base, path).with_context(|| format!("reading {path}"))? {
            esp.push(FatFile::from_bytes(name, bytes));
            *has = true;
        }
    }
    let id = volume_id(root);
    let uuid = format!("{:04X}-{:04X}", id >> 16, id & 0xffff);
    let hash: String = root.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut words = vec![format!("init={}", live.init), format!("cairn.medium={hash}")];
    words.extend(live.parameters.iter().cloned());
    let memtest_at = |at: usize| memtest[at].then(|| format!("/{}", MEMTEST[at].1));
    let menu = MediumMenu {
        uuid: uuid.clone(),
        title,
        linux: "/linux".into(),
        initrd: "/initrd".into(),
        words,
        memtest_efi: memtest_at(0),
        memtest_bios: memtest_at(1),
    };
    let folder = MEDIUM_FOLDER.trim_start_matches('/');
    esp.push(FatFile::from_bytes(format!("{folder}/grub.cfg"), menu.render()?));
    // Debian's GRUB for CDs looks for it before anything else.
    esp.push(FatFile::from_bytes(".disk/info", "Cairn installation medium\n"));
    let first = to_medium_menu(&uuid, false)?;
    let script = EarlyScript { embedded: EMBEDDED, name: SCRIPT, text: &first, prefix: MEDIUM_FOLDER };
    Ok(BootFiles {
        esp,
        cd: vec![
            ("GRUB.CFG".into(), first.clone().into_bytes()),
            ("LOOPBACK.CFG".into(), to_medium_menu(&uuid, true)?.into_bytes()),
        ],
        sector: boot_sector(base)?,
        core: core_image(base, Platform::Cd, &script)?,
    })
}
