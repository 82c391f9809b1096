//! What a store says of itself.

use std::path::Path;

use cairn_store::{Listing, NixDb, PathInfo, SigningKey, StorePath, database, read_record};
use sha2::{Digest, Sha256};

use super::Target;
use crate::parts::{parts, whole};

/// The list of a tree's files.
pub(super) const LISTING: Target = Target {
    name: "listing",
    seeds: listing_seeds,
    words: &["\n", " ", "\t", "/", "f ", "x ", "l ", "d ", "18446744073709551615", "../", "\\n", "cairn-listing 1\n"],
    most: 4096,
    quick: 30_000,
    run: listing,
};

/// What a store writes down about a path, and the list of its files.
pub(super) const RECORD: Target = Target {
    name: "store-record",
    seeds: record_seeds,
    words: &[
        "\u{1e}",
        "\"",
        ",",
        "[",
        "]",
        "null",
        "-1",
        "18446744073709551616",
        "/nix/store/",
        "sha256:",
        "f 1 ",
        "\n",
    ],
    most: 4096,
    quick: 15_000,
    run: record,
};

/// A key for signatures.
pub(super) const SIGNING_KEY: Target = Target {
    name: "signing-key",
    seeds: || vec![include_bytes!("../../../store/tests/fixtures/key.sec").into()],
    words: &[":", "=", "AAAA", "\n"],
    most: 512,
    quick: 20_000,
    run: signing_key,
};

/// Nix's database.
pub(super) const DATABASE: Target = Target {
    name: "nix-database",
    seeds: || vec![Vec::new(), vec![3, 0, 10, 8, 0xff]],
    words: &["create view ", "select ", "ValidPaths", "with recursive ", "trigger "],
    most: 512,
    quick: 1500,
    run: nix_database,
};

/// A path in a store.
pub(super) const STORE_PATH: Target = Target {
    name: "store-path",
    seeds: || vec![format!("/nix/store/{}-hello", "s".repeat(32)).into()],
    words: &["/nix/store/", "..", "/", "-"],
    most: 300,
    quick: 50_000,
    run: store_path,
};

/// What a listing begins with.
const HEADER: &str = "cairn-listing 1\n";

fn listing_seeds() -> Vec<Vec<u8>> {
    let hash = "0a".repeat(32);
    let tree = format!("{HEADER}d \nf 12 {hash} a\nd b\nx 7 {hash} b/c\nl b/d\t../a\nf 0 {hash} e\\t\\\\\n");
    vec![tree.into(), format!("{HEADER}l \t/x\n").into(), format!("{HEADER}f 7 {hash} \n").into()]
}

fn listing(bytes: &[u8]) {
    if let Some(listing) = Listing::parse(&String::from_utf8_lossy(bytes)) {
        for entry in listing.entries() {
            let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
            assert!(entry.path.is_empty() || entry.path.split('/').all(plain), "{:?}", entry.path);
        }
    }
}

fn record_seeds() -> Vec<Vec<u8>> {
    let listing = String::from_utf8_lossy(&listing_seeds()[0]).into_owned();
    let path = StorePath::from_basename(&format!("{}-a", "a".repeat(32))).into_iter();
    path.map(|path| {
        let references = [path.clone()].into();
        let (ca, signatures) = (Some("fixed:r:sha256:x".into()), vec!["key:AAAA".into()]);
        let info = PathInfo { path, nar_hash: [7; 32], nar_size: 9, references, signatures, ca, registration_time: 1 };
        whole(&[&serde_json::to_string(&info).unwrap_or_default(), &listing])
    })
    .collect()
}

/// With the checksums that a store would have written.
fn record(bytes: &[u8]) {
    let [info, listing] = parts(bytes);
    let _ = read_record(info.as_bytes(), listing.as_bytes());
    let Ok(info) = serde_json::from_str::<PathInfo>(&info) else { return };
    let hex = |bytes: &[u8]| Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sum = hex(listing.as_bytes());
    let checksum = hex(serde_json::to_string(&(&info, &sum)).unwrap_or_default().as_bytes());
    let file = serde_json::json!({ "info": info, "listing": sum, "checksum": checksum }).to_string();
    let read = read_record(file.as_bytes(), listing.as_bytes()).map(|read| read.0);
    assert_eq!(read, Listing::parse(&listing).map(|_| info));
}

fn signing_key(bytes: &[u8]) {
    let _ = SigningKey::parse(&String::from_utf8_lossy(bytes));
}

fn store_path(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(path) = StorePath::from_absolute(&text) {
        assert_eq!(path.to_string(), text);
        assert!(!path.base_name().contains('/') && !path.base_name().starts_with('.'));
    }
}

fn nix_database(input: &[u8]) {
    thread_local!(static ROOT: (tempfile::TempDir, crate::patch::Good) = root());
    ROOT.with(|(root, good)| {
        let patched = good.patched(input);
        let bytes = patched.bytes(0, usize::MAX);
        let file = root.path().join(database::DATABASE_DIR).join("db.sqlite");
        std::fs::write(&file, bytes).unwrap_or_else(|e| panic!("{e}"));
        read(root.path());
    });
}

fn read(root: &Path) {
    if let Ok(Some(db)) = NixDb::read(root) {
        let _ = db.references();
        if let Ok(path) = StorePath::from_absolute(&format!("/nix/store/{}-b", "b".repeat(32))) {
            let _ = db.info(&path);
        }
    }
}

fn root() -> (tempfile::TempDir, crate::patch::Good) {
    let made = || -> Result<_, Box<dyn std::error::Error>> {
        let root = crate::scratch()?;
        let path = |letter: &str| StorePath::from_basename(&format!("{}-{letter}", letter.repeat(32)));
        let info = |letter, references: &[&str]| -> Result<PathInfo, Box<dyn std::error::Error>> {
            let references = references.iter().map(|r| path(r)).collect::<Result<_, _>>()?;
            let signatures = Vec::new();
            Ok(PathInfo {
                path: path(letter)?,
                nar_hash: [7; 32],
                nar_size: 1000,
                references,
                signatures,
                ca: None,
                registration_time: 1,
            })
        };
        let folder = root.path().join(database::DATABASE_DIR);
        std::fs::create_dir_all(&folder)?;
        database::write(&folder, &[info("a", &[])?, info("b", &["a", "b"])?])?;
        let database = std::fs::File::open(folder.join("db.sqlite"))?;
        Ok((root, crate::patch::Good::read(database)?))
    };
    made().unwrap_or_else(|e| panic!("{e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        let text = |seed: &[u8]| String::from_utf8(seed.to_vec()).unwrap();
        assert!(listing_seeds().iter().all(|seed| Listing::parse(&text(seed)).is_some()));
        assert!((SIGNING_KEY.seeds)().iter().all(|seed| SigningKey::parse(&text(seed)).is_ok()));
        for seed in record_seeds() {
            let [info, listing] = parts(&seed);
            assert!(serde_json::from_str::<PathInfo>(&info).is_ok() && Listing::parse(&listing).is_some());
        }
    }
}
