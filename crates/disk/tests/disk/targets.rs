//! What is written to and read from: files, memory, what breaks; and swap space, which is one page.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use cairn_disk::target::{Fault, FaultTarget};
use cairn_disk::{
    Budget, Contents, DiskDevice, DiskError, FileTarget, MemoryTarget, Metered, Region, Source, Spent, Target, Tree,
    apply, ext4, swap,
};
use cairn_layout::{Needs, plan};
use cairn_machine::model::{Disk, Partition, PartitionKind};
use cairn_machine::size::Size;
use cairn_process::Quiet;
use uuid::Uuid;

use crate::common::{EPOCH, SEED, checked, cut, noise, target, tool};

/// What every target does.
fn keeps_what_it_is_given(target: &dyn Target, name: &str) {
    assert_eq!((target.name(), target.len()), (name, 10_000));
    let some = noise(3000, 1);
    target.write_at(100, &some).unwrap();
    target.write_at(9999, &[7]).unwrap();
    target.zeros(200, 50).unwrap();
    let mut found = vec![1; 10_000];
    target.read_at(0, &mut found).unwrap();
    assert!(found[100..200] == some[..100] && found[250..3100] == some[150..], "{name}");
    assert_eq!(found[9999], 7);
    for (at, len) in [(9999, 2), (10_000, 1), (u64::MAX, 1)] {
        assert!(target.write_at(at, &vec![0; len]).is_err(), "{name}: {at} {len}");
        assert!(target.zeros(at, len as u64).is_err(), "{name}: {at} {len}");
        assert!(target.read_at(at.min(1 << 40), &mut vec![0; len]).is_err(), "{name}: {at} {len}");
    }
    assert!(target.budget().is_none(), "what we write is nobody's image");
    target.sync().unwrap();
}

#[test]
fn files_and_memory_keep_what_they_are_given() {
    let file = FileTarget::new(tempfile::tempfile().unwrap(), "the image", 10_000).unwrap();
    keeps_what_it_is_given(&file, "the image");
    assert!(file.file().is_some(), "the kernel may copy into it");
    assert_eq!(file.into_file().metadata().unwrap().len(), 10_000);
    let memory = MemoryTarget::new(10_000, 0x11);
    keeps_what_it_is_given(&memory, "memory");
    assert!(memory.file().is_none());
    let bytes = memory.into_bytes();
    assert!(bytes[200..250].iter().all(|b| *b == 0) && bytes[..100].iter().all(|b| *b == 0x11));
    keeps_what_it_is_given(&FaultTarget::new(MemoryTarget::new(10_000, 0), Fault::FullAfter(1 << 40)), "memory");
}

#[test]
fn what_breaks_takes_what_it_was_told_to_take() {
    use std::io::ErrorKind::{Other, StorageFull};
    for (fault, kind) in [(Fault::FullAfter(100), StorageFull), (Fault::BrokenAfter(100), Other)] {
        let target = FaultTarget::new(MemoryTarget::new(1000, 0), fault);
        target.write_at(0, &[1; 60]).unwrap();
        target.write_at(60, &[2; 30]).unwrap();
        target.write_at(90, &[3; 10]).unwrap();
        assert_eq!(target.write_at(100, &[4]).unwrap_err().kind(), kind);
        let target = FaultTarget::new(MemoryTarget::new(1000, 0), fault);
        target.write_at(0, &[1; 60]).unwrap();
        assert_eq!(target.write_at(60, &[2; 60]).unwrap_err().kind(), kind);
        assert!(target.write_at(0, &[3]).is_err());
        let bytes = target.into_inner().into_bytes();
        assert_eq!([bytes[0], bytes[59], bytes[60], bytes[99], bytes[100]], [1, 1, 2, 2, 0]);
    }
    // What is behind it fails in its own way.
    let null = DiskDevice::open(Path::new("/dev/null"), true).unwrap();
    let target = FaultTarget::new(null, Fault::FullAfter(100));
    assert!(target.zeros(0, 0).is_err() && target.sync().is_err());
}

#[test]
fn blkid_knows_swap_space_by_its_first_page() {
    let dir = tempfile::tempdir().unwrap();
    let uuid = Uuid::from_u128(0x1234_5678_9abc_def0_0fed_cba9_8765_4321);
    for (label, kept) in
        [("swap", "swap"), ("sixteen-bytes-16", "sixteen-bytes-16"), ("seventeen-bytes-17", "seventeen-bytes-")]
    {
        let path = dir.path().join("swap");
        let image = target(&path, (1 << 20) + 4096);
        // Half a page more is no page.
        swap::write(&image, 4096, (1 << 20) - 2048, uuid, label).unwrap();
        let mut page = [0; 4096];
        image.read_at(4096, &mut page).unwrap();
        let number = |at: usize| u32::from_le_bytes(page[at..at + 4].try_into().unwrap());
        // Version, last page, bad pages: linux/swap.h.
        assert_eq!((number(1024), number(1028), number(1032)), (1, 254, 0));
        assert_eq!(&page[1036..1052], uuid.as_bytes());
        assert_eq!(page[1052..1068], *format!("{kept:\0<16}").as_bytes());
        assert!(page[..1024].iter().chain(&page[1068..4086]).all(|b| *b == 0));
        assert_eq!(page[4086..], *b"SWAPSPACE2");
        let alone = cut(&image, 4096, 1 << 20, &dir.path().join("alone"));
        if let Some(said) = checked(tool("blkid", "util-linux").args(["-p", "-o", "export"]).arg(alone)) {
            for line in ["TYPE=swap".to_string(), format!("UUID={uuid}"), format!("LABEL={kept}"), "VERSION=1".into()] {
                assert!(said.lines().any(|l| l == line), "{line}: {said}");
            }
        }
    }
    let failed = |fault| {
        let target = FaultTarget::new(MemoryTarget::new(8192, 0), fault);
        swap::write(&target, 4096, 4096, uuid, "swap").unwrap_err()
    };
    assert!(matches!(failed(Fault::FullAfter(9)), DiskError::Full { offset: 4096, .. }));
    assert!(matches!(failed(Fault::BrokenAfter(9)), DiskError::Write { offset: 4096, .. }));
}

#[test]
fn a_region_is_read_through_a_cursor_as_it_is() {
    let bytes = noise(40_000, 3);
    let image = MemoryTarget::new(40_000, 0);
    image.write_at(0, &bytes).unwrap();
    // By way of references, as generic code has them.
    let budget = Arc::new(Budget::default());
    let source = Metered::new(&image, Arc::clone(&budget));
    let by_reference: &dyn Source = &&source;
    assert_eq!((by_reference.len(), source.len()), (40_000, 40_000));
    assert!(Arc::ptr_eq(&by_reference.budget().unwrap(), &budget));
    let mut some = [0; 9];
    by_reference.read_at(77, &mut some).unwrap();
    assert_eq!(some, bytes[77..86]);
    assert!((&image as &dyn Source).budget().is_none() && Source::budget(&&image).is_none());

    let region = Region::new(by_reference, 1000, 30_000);
    assert!(Arc::ptr_eq(&region.budget().unwrap(), &budget));
    let mut cursor = region.cursor();
    for at in [0, 5, 4095, 4096, 8192 + 5, 20_001, 29_999] {
        assert_eq!(cursor.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
        let mut found = vec![0; 5000.min(30_000 - at)];
        cursor.read_exact(&mut found).unwrap();
        assert!(found == bytes[1000 + at..][..found.len()], "{at}");
        assert_eq!(cursor.stream_position().unwrap(), (at + found.len()) as u64);
    }
    assert_eq!(cursor.seek(SeekFrom::End(-3)).unwrap(), 29_997);
    let mut rest = Vec::new();
    cursor.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, bytes[30_997..31_000]);
    // There is nothing at the end, and nothing behind it.
    for at in [30_000, 50_000] {
        cursor.seek(SeekFrom::Start(at)).unwrap();
        assert_eq!(cursor.read(&mut [0; 5]).unwrap(), 0, "{at}");
    }
    assert!(cursor.seek(SeekFrom::Current(-60_000)).is_err());
    assert_eq!(cursor.write(b"x").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    // A region is no longer than what it is in, and nothing outside of it is read.
    assert_eq!((Region::new(&image, 39_000, 5000).len(), Region::new(&image, 50_000, 5).len()), (1000, 0));
    assert!(region.read_at(29_999, &mut [0; 2]).is_err() && region.read_at(u64::MAX, &mut [0; 2]).is_err());
    budget.depth(1000).unwrap_err();
    assert_eq!(by_reference.read_at(0, &mut [0]).unwrap_err().to_string(), Spent::Depth.to_string());
}

/// A disk without FAT, which takes its time.
#[test]
fn a_disk_gets_the_identifiers_of_its_plan() {
    let size = |mib| Some(Size::from_mib(mib));
    let disk = Disk::of_partitions(vec![
        Partition { size: size(2), ..Partition::of_kind(PartitionKind::Swap) },
        Partition { size: size(32), ..Partition::of_kind(PartitionKind::Root) },
    ]);
    let plan = plan(&disk, SEED, &Needs::default(), None).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let image = target(&dir.path().join("image"), plan.bytes());
    image.into_file().write_all_at(&[0x90; 440], 0).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(dir.path().join("image")).unwrap();
    let image = FileTarget::new(file, "image", plan.bytes()).unwrap();
    let mut tree = Tree::new();
    tree.push(crate::common::bytes("file", "contents")).unwrap();
    let contents = Contents { trees: BTreeMap::from([("/".to_string(), &tree)]), ..Contents::default() };
    let told = format!("{contents:?}");
    assert!(told.contains("Contents") && told.contains("trees: [\"/\"]"), "{told}");
    apply(&plan, &contents, EPOCH, &image, 1, &Quiet).unwrap();
    let [swap, root] = &plan.partitions[..] else { panic!("{plan}") };
    let root_fs = Region::new(&image, plan.offset_of(root), plan.bytes_of(root));
    let reader = ext4::Reader::open(root_fs).unwrap();
    assert_eq!(Some(reader.info().uuid), root.fs().unwrap().uuid.uuid());
    assert_eq!(reader.read("/file", 100).unwrap().unwrap(), b"contents");
    let mut found = [0; 16];
    image.read_at(plan.offset_of(swap) + 1036, &mut found).unwrap();
    assert_eq!(Some(Uuid::from_bytes(found)), swap.fs().unwrap().uuid.uuid());
}
