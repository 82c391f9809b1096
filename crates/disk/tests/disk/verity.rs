//! Our tree of hashes against cryptsetup's own.

use std::fs;

use cairn_disk::verity::{BLOCK, hash_tree};

use crate::common::{checked, noise, tool};

/// Byte for byte, with every number of levels that is to be had in reasonable time, full and not full.
#[test]
fn veritysetup_makes_the_same_tree() {
    let dir = tempfile::tempdir().unwrap();
    let [data, hashes, root] = ["data", "hashes", "root"].map(|name| dir.path().join(name));
    for blocks in [1, 2, 127, 128, 129, 300, 128 * 128, 128 * 128 + 1] {
        let bytes = noise(blocks * usize::try_from(BLOCK).unwrap(), blocks as u64);
        fs::write(&data, &bytes).unwrap();
        fs::write(&hashes, "").unwrap();
        let format = tool("veritysetup", "cryptsetup-bin")
            .args(["format", "--no-superblock", "--format=1", "--hash=sha256", "--salt=-"])
            .args(["--data-block-size=4096", "--hash-block-size=4096"])
            .arg(format!("--root-hash-file={}", root.display()))
            .args([&data, &hashes]);
        if checked(format).is_none() {
            return;
        }
        let ours = hash_tree(&bytes[..]).unwrap();
        assert_eq!(ours.root_hex(), fs::read_to_string(&root).unwrap(), "{blocks} blocks");
        assert!(ours.bytes == fs::read(&hashes).unwrap(), "the trees of {blocks} blocks differ");
    }
}

/// And it finds both trees sound, and one with a flipped bit not.
#[test]
fn veritysetup_verifies_ours() {
    let dir = tempfile::tempdir().unwrap();
    let [data, hashes] = ["data", "hashes"].map(|name| dir.path().join(name));
    let mut bytes = noise(200 * usize::try_from(BLOCK).unwrap(), 5);
    let tree = hash_tree(&bytes[..]).unwrap();
    fs::write(&data, &bytes).unwrap();
    fs::write(&hashes, &tree.bytes).unwrap();
    let verify = || {
        tool("veritysetup", "cryptsetup-bin")
            .args(["verify", "--no-superblock", "--format=1", "--hash=sha256", "--salt=-"])
            .args(["--data-block-size=4096", "--hash-block-size=4096"])
            .args([&data, &hashes])
            .arg(tree.root_hex())
    };
    if checked(verify()).is_none() {
        return;
    }
    bytes[123_456] ^= 1;
    fs::write(&data, &bytes).unwrap();
    assert!(verify().run().is_err(), "a flipped bit was not found");
}
