//! Writes a folder into a raw image with an EFI system partition and an ext4 root: `tree_to_raw FOLDER IMAGE [MiB free]`.
//! This is what scripts/bench/image measures.

use std::error::Error;
use std::fs::OpenOptions;
use std::path::Path;

use cairn_disk::tree::FolderOptions;
use cairn_disk::{Contents, FileTarget, Tree, apply, ext4};
use cairn_layout::{LEAST_FAT, Needs, plan};
use cairn_machine::model::{Disk, NamedLayout};
use cairn_machine::size::Size;
use cairn_process::Quiet;
use uuid::Uuid;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (folder, image, free) = match args.as_slice() {
        [folder, image] => (folder, image, 64),
        [folder, image, free] => (folder, image, free.parse()?),
        _ => return Err("usage: tree_to_raw FOLDER IMAGE [MiB free]".into()),
    };
    let mut tree = Tree::new();
    tree.add_folder("", Path::new(folder), FolderOptions { owner: Some((0, 0)), mtime: Some(1) })?;
    let disk = Disk { free: Size::default(), ..Disk::of_layout(NamedLayout::Uefi) };
    let needs = Needs { esp: LEAST_FAT, root: ext4::needed(&tree, free << 20)?, ..Needs::default() };
    let plan = plan(&disk, Uuid::nil(), &needs, None)?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(image)?;
    let target = FileTarget::new(file, image, plan.bytes())?;
    let contents = Contents { trees: [("/".to_string(), &tree)].into(), ..Contents::default() };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    apply(&plan, &contents, 1_700_000_000, &target, threads, &Quiet)?;
    print!("{plan}");
    Ok(())
}
