//! Paths, hashes, signatures and texts against those that a real Nix made; see `fixtures/generate.sh`.

use std::fs;
use std::path::Path;

use crate::common::{LEAF, add_leaf, names, store};
use cairn_store::binary_cache::{self, Compression};
use cairn_store::{EntryKind, PathInfo, SigningKey, Store, StorePath, database};

const KEY: &str = include_str!("../fixtures/key.sec");

fn user(store: &Store, leaf: &PathInfo) -> PathInfo {
    let scratch = store.scratch().unwrap();
    fs::remove_dir(scratch.path()).unwrap();
    fs::write(scratch.path(), format!("the leaf is {}\n", leaf.path)).unwrap();
    let stranger = StorePath::from_basename("9qxbjpzswk14yhndpqi63h7c97gyjl9d-stranger").unwrap();
    store.add("user", scratch, &[stranger, leaf.path.clone()]).unwrap()
}

#[test]
fn a_content_addressed_tree_gets_the_path_that_nix_gives_it() {
    let (store, _dir) = store();
    let leaf = add_leaf(&store);
    assert_eq!(leaf.path.to_string(), LEAF);
    assert_eq!((leaf.nar_size, leaf.registration_time), (1776, 1));
    assert!(leaf.references.is_empty());
}

#[test]
fn a_single_file_that_refers_to_another_path_gets_the_path_that_nix_gives_it() {
    let (store, _dir) = store();
    let leaf = add_leaf(&store);
    let user = user(&store, &leaf);
    assert_eq!(user.path.to_string(), "/nix/store/fx2jbzblnkvzks7j89xh2gxr435yqp73-user");
    assert_eq!(user.references.iter().collect::<Vec<_>>(), [&leaf.path]);
    let listing = store.listing(&user.path).unwrap();
    assert!(
        matches!(listing.entries(), [e] if e.path.is_empty() && matches!(e.kind, EntryKind::File { size: 61, .. }))
    );
    store.check_quick(&user.path).unwrap();
    store.check_contents(&user.path).unwrap();
}

#[test]
fn an_input_addressed_path_is_the_one_that_nix_gives_to_an_output() {
    let inputs = include_bytes!("../fixtures/output.inputs");
    let path = Store::input_addressed_path("system-hello", inputs).unwrap();
    assert_eq!(path.to_string(), include_str!("../fixtures/output.path"));
}

#[test]
fn the_registration_is_what_nix_dumps() {
    let (store, _dir) = store();
    let leaf = add_leaf(&store);
    let user = user(&store, &leaf);
    // Nix puts what is referred to first, and takes any order.
    let ours: Vec<String> =
        [&leaf, &user].map(|i| database::registration(&[leaf.clone(), i.clone()]).unwrap()).into_iter().collect();
    let users = ours[1].strip_suffix(&ours[0]).unwrap_or(&ours[1]);
    assert_eq!(format!("{}{users}", ours[0]), include_str!("../fixtures/registration"));
}

#[test]
fn a_binary_cache_has_the_narinfos_that_nix_writes() {
    let (store, dir) = store();
    let key = SigningKey::parse(KEY).unwrap();
    let leaf = add_leaf(&store);
    let user = user(&store, &leaf);
    let mut infos = store.closure(std::slice::from_ref(&user.path)).unwrap();
    assert_eq!(infos.len(), 2);
    infos.iter_mut().for_each(|i| i.sign(&key));
    let cache = dir.path().join("cache");
    binary_cache::write(&cache, &infos, &store, Compression::None).unwrap();
    let narinfo = |path: &StorePath| fs::read_to_string(cache.join(format!("{}.narinfo", path.hash_part()))).unwrap();
    assert_eq!(narinfo(&leaf.path), include_str!("../fixtures/leaf.narinfo"));
    assert_eq!(narinfo(&user.path), include_str!("../fixtures/user.narinfo"));
    assert_eq!(names(cache.join("nar")).len(), 2);
}

#[test]
fn a_compressed_nar_is_the_nar_again() {
    let (store, dir) = store();
    let leaf = add_leaf(&store);
    binary_cache::write(dir.path(), std::slice::from_ref(&leaf), &store, Compression::Zstd).unwrap();
    let [name] = names(dir.path().join("nar")).try_into().unwrap();
    let nar = zstd::decode_all(fs::File::open(dir.path().join("nar").join(name)).unwrap()).unwrap();
    assert_eq!(nar.len() as u64, leaf.nar_size);
}

#[test]
fn a_key_says_its_public_half_and_never_its_secret_one() {
    let key = SigningKey::parse(KEY).unwrap();
    assert_eq!(key.public_key(), include_str!("../fixtures/key.pub").trim());
    assert_eq!(format!("{key:?}"), r#"SigningKey { name: "cairn-test-1", .. }"#);
    let secret = KEY.trim().split_once(':').unwrap().1;
    for text in [format!("x:{}", &secret[4..]), secret.to_string(), format!("x:{secret}!"), format!(":{secret}")] {
        let message = SigningKey::parse(&text).unwrap_err().to_string();
        assert!(!message.contains(&secret[8..40]), "{message}");
    }
    let message = SigningKey::parse(include_str!("../fixtures/key.pub")).unwrap_err().to_string();
    assert!(message.starts_with("the text is not a signing key: it is a public key"), "{message}");
    let message = SigningKey::parse("x:AAAA").unwrap_err().to_string();
    assert!(message.contains("it is not 64 bytes long"), "{message}");
    let message = SigningKey::load(Path::new("/dev/null")).unwrap_err().to_string();
    assert!(message.starts_with("/dev/null is not a signing key: there is no ':'"), "{message}");
}

#[test]
fn a_store_path_is_checked() {
    let path = StorePath::from_absolute(LEAF).unwrap();
    assert_eq!((path.name(), path.hash_part()), ("leaf", "jicldk2hzis2zgi4x52fr0wx78fkah44"));
    assert_eq!(StorePath::from_basename(path.base_name()).unwrap(), path);
    assert_eq!((path.to_string(), format!("{path:?}")), (LEAF.to_string(), LEAF.to_string()));
    assert_eq!(serde_json::to_string(&path).unwrap(), format!("{LEAF:?}"));
    assert_eq!(serde_json::from_str::<StorePath>(&format!("{LEAF:?}")).unwrap(), path);
    let long = format!("{LEAF}{}", "x".repeat(208));
    let bad = [
        "",
        "/nix/store",
        "/nix/store/",
        "leaf",
        "/nix/store/leaf",
        "/nix/storejicldk2hzis2zgi4x52fr0wx78fkah44-leaf",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-leaf/bin",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah4-leaf",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah4e-leaf",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-le af",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-../x",
        "/nix/store/jicldk2hzis2zgi4x52fr0wx78fkah44-lüaf",
        &long,
    ];
    for text in bad {
        let message = StorePath::from_absolute(text).unwrap_err().to_string();
        assert!(message.starts_with(&format!("'{text}' is not a store path: ")), "{message}");
    }
}

#[test]
fn paths_are_ordered_as_text() {
    let [a, b] = ["00000000000000000000000000000001-b", "10000000000000000000000000000000-a"]
        .map(|t| StorePath::from_basename(t).unwrap());
    assert!(a < b);
}
