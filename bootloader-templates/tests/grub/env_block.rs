//! What our environment block holds, by `grub-editenv`, and the other way round.

use std::fs;

use bootloader_templates::grub::EnvBlock;

use crate::common::grub;

fn file(bytes: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grubenv");
    fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap().to_string();
    (folder, path)
}

#[test]
fn grub_lists_what_was_set() {
    let mut block = EnvBlock::new();
    block.set("odd", "a \\ b = 'c' \"d\" # e");
    block.arm("7-abcdefgh", 3);
    block.once("cairn-all>1-aaaa");
    let (_folder, path) = file(&block.to_bytes().unwrap());
    let Some(output) = grub("grub-editenv", &[&path, "list"], "") else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "odd=a \\ b = 'c' \"d\" # e\ncairn_try=7-abcdefgh\ncairn_left=3\nnext_entry=cairn-all>1-aaaa\n"
    );
}

#[test]
fn grub_changes_a_block_of_512_bytes_and_leaves_it_so() {
    let mut block = EnvBlock::new();
    block.arm("7", 3);
    let (_folder, path) = file(&block.to_bytes().unwrap());
    let Some(output) = grub("grub-editenv", &[&path, "set", "cairn_left=2", "other=a\\b"], "") else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), EnvBlock::SIZE);
    let read = EnvBlock::parse(&bytes).unwrap();
    assert_eq!(read.trial(), Some(("7", 2)));
    assert_eq!(read.get("other"), Some("a\\b"));
    // The same bytes, so nothing is written that GRUB would not write.
    assert_eq!(read.to_bytes().unwrap().as_slice(), bytes);
}

#[test]
fn a_block_that_grub_made_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grubenv");
    let path = path.to_str().unwrap();
    let Some(output) = grub("grub-editenv", &[path, "create"], "") else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    grub("grub-editenv", &[path, "set", "saved_entry=x"], "");
    let bytes = fs::read(path).unwrap();
    assert_eq!(bytes.len(), 1024);
    let block = EnvBlock::parse(&bytes).unwrap();
    assert_eq!(block.get("saved_entry"), Some("x"));
    assert_eq!(block.to_bytes().unwrap().len(), EnvBlock::SIZE);
}

#[test]
fn a_full_block_is_full_for_grub_too() {
    let mut block = EnvBlock::new();
    block.set("a", &"x".repeat(EnvBlock::SIZE - 28));
    let (_folder, path) = file(&block.to_bytes().unwrap());
    let Some(output) = grub("grub-editenv", &[&path, "set", "b=1"], "") else { return };
    assert!(!output.status.success());
}
