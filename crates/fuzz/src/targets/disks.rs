//! What is on a disk: the table, the file systems, the boot code.

use std::fs::File;
use std::io::Seek;
use std::sync::{LazyLock, OnceLock};

use cairn_disk::ext4::{Ext4Options, Ext4Plan, Ext4Size};
use cairn_disk::fat::{FatFile, FatOptions};
use cairn_disk::partition_table::beside::Beside;
use cairn_disk::{BootCode, Content, Entry, FileTarget, Node, Region, Tree, ext4, fat, ntfs, partition_table};
use cairn_layout::SectorSize;
use cairn_process::{Quiet, Tool};
use uuid::Uuid;

use super::Target;
use super::images::good_image;
use crate::patch::{Good, Patched};

/// GPT and MBR.
pub(super) const TABLE: Target =
    Target { name: "partition-table", seeds: table_seeds, words: &["EFI PART"], most: 512, quick: 2000, run: table };

/// A FAT volume.
pub(super) const FAT: Target = Target {
    name: "fat",
    seeds: patches,
    words: &["..         ", "\u{ff}\u{ff}\u{ff}\u{f}"],
    most: 512,
    quick: 3000,
    run: fat,
};

/// An ext4 file system.
pub(super) const EXT4: Target =
    Target { name: "ext4", seeds: patches, words: &["\n\u{f3}"], most: 512, quick: 3000, run: ext4 };

/// An NTFS volume in which Windows sleeps.
pub(super) const NTFS: Target =
    Target { name: "ntfs", seeds: patches, words: &["FILE", "INDX", "hibr"], most: 512, quick: 3000, run: ntfs };

/// What a BIOS starts.
pub(super) const BOOT_CODE: Target =
    Target { name: "boot-code", seeds: patches, words: &[], most: 512, quick: 3000, run: boot_code };

fn patches() -> Vec<Vec<u8>> {
    vec![Vec::new(), vec![0, 0, 0, 2, 1, 0], vec![1, 0, 72, 8, 0xff, 0xff, 0xff, 0xff, 2, 0, 16, 6, 0, 0, 0, 0]]
}

/// The first byte says of which kind the table is.
fn table_seeds() -> Vec<Vec<u8>> {
    let mbr = [0, 0, 0xbe, 0x1f, 0x80, 0, 0, 0, 7, 0, 0, 0, 0, 1, 0, 0, 0xff, 0xff, 0xff, 0xff];
    let gpt = patches().into_iter().map(|patch| [&[0], &*patch].concat());
    gpt.chain([vec![1], [&[1][..], &mbr].concat()]).collect()
}

fn table(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else { return };
    let disk = with_table(*kind, input);
    if let Ok(table) = partition_table::read(&disk) {
        for partition in &table.partitions {
            let _ = Region::new(&disk, partition.offset, partition.bytes);
        }
        let _ = table.core_image_area();
    }
    for sector in [SectorSize::B512, SectorSize::B4096] {
        if let Ok(Some(table)) = Beside::read(&disk, sector) {
            beside(table, sector.bytes(), cairn_disk::Source::len(&disk));
        }
    }
}

/// What is written beside others lies on the disk, and in nobody's partition.
fn beside(mut table: Beside, sector: u64, disk: u64) {
    let others: Vec<_> = table.partitions().map(|(_, one)| (one.first, one.last)).collect();
    if let Some((first, last)) = table.free().last().copied() {
        let (kind, id) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let _ = table.add(&partition_table::beside::Entry { kind, id, first, last, attributes: 0, name: "new".into() });
    }
    for (offset, bytes) in table.writes().concat() {
        let end = offset + bytes.len() as u64;
        assert!(end <= disk, "{offset} {end}");
        let upon = |(first, last): &(u64, u64)| first * sector < end && offset < (last + 1) * sector;
        assert!(!others.iter().any(upon), "{offset} {end} {others:?}");
    }
}

/// Two primary partitions, at 1 MiB and behind that, and the signature.
const MBR: [u8; 66] = {
    let mut bytes = [0; 66];
    (bytes[0], bytes[4], bytes[9], bytes[13]) = (0x80, 0x0c, 8, 16);
    (bytes[20], bytes[25], bytes[29]) = (0x83, 24, 64);
    (bytes[64], bytes[65]) = (0x55, 0xaa);
    bytes
};

/// The disk of a good image, its table patched: a GPT, or an MBR if `kind` is odd.
pub(super) fn with_table(kind: u8, input: &[u8]) -> Patched<'static> {
    let mut disk = good_image().patched(&[]);
    if kind % 2 == 1 {
        let last = usize::try_from(cairn_disk::Source::len(&disk)).unwrap_or_default().saturating_sub(512);
        disk.put(446, &MBR);
        [512, last].into_iter().for_each(|header| disk.put(header, &[0; 8]));
    }
    good_image().patches(input).into_iter().for_each(|patch| disk.put(patch.at, &patch.bytes));
    mend_gpt(&mut disk);
    disk
}

/// Makes the checksums of both headers right, as somebody would who has made the table on purpose.
pub(super) fn mend_gpt(disk: &mut Patched<'_>) {
    use cairn_disk::Source;
    let last = usize::try_from(disk.len()).unwrap_or_default().saturating_sub(512);
    for at in [512, last] {
        let mut header = disk.bytes(at, 512);
        if header.len() < 512 || !header.starts_with(b"EFI PART") {
            continue;
        }
        let read = header.clone();
        let n =
            |from: usize, len: usize| read[from..from + len].iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let (first, count, size) = (n(72, 8), n(80, 4), n(84, 4));
        let bytes = count.saturating_mul(size);
        if bytes <= 1 << 20 && first < disk.len() / 512 {
            let entries = disk
                .bytes(usize::try_from(first * 512).unwrap_or_default(), usize::try_from(bytes).unwrap_or_default());
            header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        }
        let len = usize::try_from(n(12, 4)).unwrap_or_default().clamp(20, 512);
        header[16..20].fill(0);
        let sum = crc32(&header[..len]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        disk.put(at, &header[..92]);
    }
}

/// As in ISO 3309: what GPT has. By a table: a table of partitions has 16 KiB, twice, and the quick tests are not optimized.
fn crc32(bytes: &[u8]) -> u32 {
    static OF_A_BYTE: LazyLock<[u32; 256]> = LazyLock::new(|| {
        std::array::from_fn(|byte| {
            (0..8).fold(byte as u32, |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
        })
    });
    let table = &*OF_A_BYTE;
    !bytes.iter().fold(u32::MAX, |sum, byte| table[usize::from(sum as u8 ^ *byte)] ^ sum >> 8)
}

fn fat(input: &[u8]) {
    static GOOD: OnceLock<Good> = OnceLock::new();
    let disk = GOOD.get_or_init(good_fat).patched(input);
    let Ok(volume) = fat::open(Region::new(&disk, 0, cairn_disk::Source::len(&disk))) else { return };
    let _ = volume.info();
    let mut folders = vec![(String::new(), 0)];
    let mut seen = 0;
    while let Some((folder, depth)) = folders.pop() {
        for entry in volume.list(&folder).ok().flatten().unwrap_or_default() {
            seen += 1;
            let path = if folder.is_empty() { entry.name.clone() } else { format!("{folder}/{}", entry.name) };
            if entry.is_dir && depth < 4 && seen < 100 {
                folders.push((path, depth + 1));
            } else if seen < 100 {
                let _ = volume.read(&path, 1 << 16);
            }
        }
    }
}

fn good_fat() -> Good {
    let made = || -> Result<Good, Box<dyn std::error::Error>> {
        let files = [
            FatFile::from_bytes("loader/loader.conf", "timeout 3\n"),
            FatFile::from_bytes("loader/entries/a name that is long.conf", "title x\n"),
            FatFile::from_bytes("EFI/BOOT/BOOTX64.EFI", vec![7; 3000]),
        ];
        let len = fat::needed(&files);
        let target = FileTarget::new(tempfile::tempfile()?, "fat", len)?;
        let options = FatOptions {
            volume_id: 7,
            label: "ESP".into(),
            epoch: 1_700_000_000,
            sector_size: SectorSize::B512,
            small: false,
        };
        fat::write(&target, 0, len, &files, &options)?;
        whole(target.into_file())
    };
    made().unwrap_or_else(|e| panic!("{e}"))
}

fn ext4(input: &[u8]) {
    static GOOD: OnceLock<Good> = OnceLock::new();
    let disk = GOOD.get_or_init(good_ext4).patched(input);
    let Ok(volume) = ext4::Reader::open(Region::new(&disk, 0, cairn_disk::Source::len(&disk))) else { return };
    let _ = volume.info();
    for path in
        ["", "etc", "etc/hostname", "etc/link", "etc/far", "many", "many/17", "large", "away", "etc/../etc/./hostname"]
    {
        let _ = volume.kind(path);
        let _ = volume.list(path);
        let _ = volume.read(path, 1 << 16);
        let _ = volume.link(path);
        let _ = volume.modified(path);
    }
}

/// A file from its beginning.
fn whole(mut file: File) -> Result<Good, Box<dyn std::error::Error>> {
    file.rewind()?;
    Ok(Good::read(file)?)
}

fn good_ext4() -> Good {
    let made = || -> Result<Good, Box<dyn std::error::Error>> {
        let mut tree = Tree::new();
        let mut put = |path: &str, node: Node| {
            let mode = if node == Node::Dir { 0o755 } else { 0o644 };
            tree.push(Entry { path: path.into(), mode, uid: 0, gid: 0, mtime: 1, node })
        };
        let file = |bytes: Vec<u8>| Node::File { len: bytes.len() as u64, content: Content::Bytes(bytes) };
        put("away", Node::Symlink("/etc/../../etc".into()))?;
        put("etc", Node::Dir)?;
        put("etc/far", Node::Symlink(format!("/{}", "x/".repeat(60))))?;
        put("etc/hostname", file(b"hello\n".to_vec()))?;
        put("etc/link", Node::Symlink("hostname".into()))?;
        put("large", file(vec![3; 40_000]))?;
        put("many", Node::Dir)?;
        for n in 0..200 {
            put(&format!("many/{n}"), file(Vec::new()))?;
        }
        let options = Ext4Options {
            size: Ext4Size::AtLeast { free: 1 << 20 },
            uuid: Uuid::from_u128(5),
            label: "root".into(),
            epoch: 1_700_000_000,
        };
        let plan = Ext4Plan::new(&tree, &options)?;
        let target = FileTarget::new(tempfile::tempfile()?, "ext4", plan.bytes())?;
        plan.write(&target, 0, 1, &Quiet)?;
        whole(target.into_file())
    };
    made().unwrap_or_else(|e| panic!("{e}"))
}

fn ntfs(input: &[u8]) {
    static GOOD: OnceLock<Good> = OnceLock::new();
    let _ = ntfs::state(&GOOD.get_or_init(good_ntfs).patched(input));
}

/// Only other people's programs make one. With clusters as small as they are, its root folder has blocks, and a list of its attributes.
fn good_ntfs() -> Good {
    let made = || -> Result<Good, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (volume, file) = (folder.path().join("volume"), folder.path().join("file"));
        File::create(&volume)?.set_len(4 << 20)?;
        std::fs::write(&file, [&b"hibr"[..], &[0; 8192]].concat())?;
        let tool = |program: &str| Tool::new(program, "ntfs-3g", "make a volume that is read");
        tool("mkntfs")
            .args(["-q", "-F", "-c", "512", "-s", "512", "-p", "0", "-H", "0", "-S", "0"])
            .arg(&volume)
            .run()?;
        let long = (0..40).map(|number| format!("a name that takes its room in the index {number}"));
        for name in long.chain(["Windows".into(), "hiberfil.sys".into()]) {
            tool("ntfscp").arg("-q").args([&volume, &file]).arg(name).run()?;
        }
        Ok(Good::read(File::open(&volume)?)?)
    };
    made().unwrap_or_else(|e| panic!("{e}"))
}

fn boot_code(input: &[u8]) {
    let mut disk = good_image().patched(&input[..input.len() / 2]);
    // Its place for a core image is empty, so something is put there.
    disk.put(0, &input[input.len() / 2..]);
    let code = BootCode { sector: [0x90; 512], core: vec![0x91; 30_000] };
    let _ = code.compare(&disk, (34 * 512, 1 << 20));
}

#[cfg(test)]
mod tests {
    use cairn_machine::model::TableKind;

    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        assert!(cairn_disk::ntfs::state(&good_ntfs().patched(&[])).unwrap().sleeps);
        for (kind, found) in [(0, TableKind::Gpt), (1, TableKind::Mbr)] {
            let table = partition_table::read(&with_table(kind, &[])).unwrap();
            assert_eq!((table.kind, table.partitions.len()), (found, 2));
        }
    }
}
