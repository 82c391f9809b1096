//! Cached paths that are no longer what was put there.

use std::fs::{self, FileTimes};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::{add_leaf, leaf, settle, store};
use cairn_store::{PathInfo, Store, StoreError};
use sha2::{Digest, Sha256};

/// Changes one bit of a file through the file system, and puts mode and time back.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    bytes[0] ^= 1;
    let mode = fs::metadata(file).unwrap().permissions();
    fs::set_permissions(file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(file, bytes).unwrap();
    fs::set_permissions(file, mode).unwrap();
    let one = UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(file).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
}

/// Opens a folder for changes, and closes it again.
fn within(dir: &Path, change: impl FnOnce(&Path)) {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).unwrap();
    change(dir);
    fs::set_permissions(dir, fs::Permissions::from_mode(0o555)).unwrap();
    let one = UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(dir).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
}

/// What both checks say after `damage` was done to the leaf; and that adding it again repairs it.
fn both_checks(damage: impl Fn(&Path)) -> String {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    damage(&store.real_path(&info.path));
    let quick = complaint(&store, &info);
    let error = store.check_contents(&info.path).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { what, .. } if *what == quick), "{error}");
    assert_eq!(add_leaf(&store), info);
    store.check_contents(&info.path).unwrap();
    store.check_quick(&info.path).unwrap();
    quick
}

fn complaint(store: &Store, info: &PathInfo) -> String {
    let error = store.check_quick(&info.path).unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    let text = error.to_string();
    let what = text.strip_prefix(&format!("the cached {} is damaged: ", info.path)).unwrap();
    let info_file = store.root().join(format!("nix/var/cairn/info/{}.json", info.path.base_name()));
    let advice =
        format!("; remove {} and build again; the packages are cached, no network is needed", info_file.display());
    let what = what.strip_suffix(&advice).unwrap().to_string();
    // The advice is good: without that file the path is not there, and adding it replaces what is left.
    let kept = fs::read(&info_file).unwrap();
    fs::remove_file(&info_file).unwrap();
    assert_eq!(store.info(&info.path).unwrap(), None);
    fs::write(&info_file, kept).unwrap();
    what
}

#[test]
fn a_flipped_bit_is_found_with_both_hashes_even_when_the_time_is_put_back() {
    assert_eq!(
        both_checks(|top| flip(&top.join("share/hello"))),
        "share/hello differs (expected sha256 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03, \
         found a272663cfa53513ba86ba810d7e3d774f3275cf129954d03d37be025f95cd469)"
    );
}

#[test]
fn a_bit_flipped_in_the_same_tick_of_the_clock_is_found() {
    let (store, _dir) = store();
    for _ in 0..50 {
        let info = add_leaf(&store);
        flip(&store.real_path(&info.path).join("bin/run"));
        assert!(complaint(&store, &info).starts_with("bin/run differs"));
    }
}

#[test]
fn a_bit_flipped_after_a_check_is_found() {
    let (store, _dir) = store();
    for _ in 0..50 {
        let info = add_leaf(&store);
        store.check_quick(&info.path).unwrap();
        flip(&store.real_path(&info.path).join("bin/run"));
        assert!(complaint(&store, &info).starts_with("bin/run differs"));
    }
}

#[test]
fn a_shortened_file_says_its_sizes() {
    let found = both_checks(|top| {
        let file = top.join("share/hello");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(file, "").unwrap();
    });
    assert!(found.ends_with(", 6 bytes, now 0)"), "{found}");
}

#[test]
fn a_replaced_an_added_and_a_removed_entry_are_found() {
    let replaced = both_checks(|top| {
        within(&top.join("share"), |dir| {
            fs::write(dir.join("new"), "hallo\n").unwrap();
            fs::rename(dir.join("new"), dir.join("hello")).unwrap();
        });
    });
    assert!(replaced.starts_with("share/hello differs (expected sha256 "), "{replaced}");
    let added = both_checks(|top| within(&top.join("empty"), |dir| fs::write(dir.join("new"), "").unwrap()));
    assert_eq!(added, "empty/new does not belong there");
    let added = both_checks(|top| within(top, |dir| fs::create_dir(dir.join("bin.new")).unwrap()));
    assert_eq!(added, "bin.new does not belong there");
    let removed =
        both_checks(|top| within(&top.join("share/ünï"), |dir| fs::remove_file(dir.join("nothing")).unwrap()));
    assert_eq!(removed, "share/ünï/nothing is missing");
}

#[test]
fn a_changed_mode_link_or_kind_is_found() {
    let chmod =
        |mode| move |top: &Path| fs::set_permissions(top.join("bin/run"), fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(both_checks(chmod(0o444)), "bin/run differs (it should be executable)");
    let run = |top: &Path| fs::set_permissions(top.join("share/hello"), fs::Permissions::from_mode(0o555)).unwrap();
    assert_eq!(both_checks(run), "share/hello differs (it should not be executable)");
    let relink = |top: &Path| {
        within(&top.join("bin"), |dir| {
            fs::remove_file(dir.join("link")).unwrap();
            symlink("elsewhere", dir.join("link")).unwrap();
        });
    };
    assert_eq!(both_checks(relink), "bin/link differs (expected a link to ../share/hello, found one to elsewhere)");
    let swap = |top: &Path| {
        within(top, |dir| {
            fs::remove_dir(dir.join("empty")).unwrap();
            fs::write(dir.join("empty"), "").unwrap();
        });
    };
    assert_eq!(both_checks(swap), "empty is no longer a folder");
    let file = |top: &Path| {
        within(&top.join("bin"), |dir| {
            fs::remove_file(dir.join("link")).unwrap();
            fs::write(dir.join("link"), "").unwrap();
        });
    };
    assert_eq!(both_checks(file), "bin/link is no longer a symbolic link");
    let folder = |top: &Path| {
        within(&top.join("bin"), |dir| {
            fs::remove_file(dir.join("run")).unwrap();
            fs::create_dir(dir.join("run")).unwrap();
        });
    };
    assert_eq!(both_checks(folder), "bin/run is no longer a regular file");
    // The whole tree is another thing.
    let (store, dir) = store();
    let info = add_leaf(&store);
    fs::rename(store.real_path(&info.path), dir.path().join("away")).unwrap();
    symlink("/etc", store.real_path(&info.path)).unwrap();
    assert_eq!(complaint(&store, &info), "the top is no longer a folder");
}

#[test]
fn touching_a_file_is_no_damage() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    let file = store.real_path(&info.path).join("share/hello");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    store.check_quick(&info.path).unwrap();
    let fingerprint = store.root().join("nix/var/cairn/fingerprint").join(info.path.base_name());
    for text in ["", "nonsense"] {
        fs::write(&fingerprint, text).unwrap();
        store.check_quick(&info.path).unwrap();
    }
    fs::remove_file(&fingerprint).unwrap();
    store.check_quick(&info.path).unwrap();
    assert!(fingerprint.exists());
}

#[test]
fn damaged_metadata_are_found() {
    for kind in ["listing", "info"] {
        let (store, _dir) = store();
        let info = add_leaf(&store);
        let suffix = if kind == "info" { ".json" } else { "" };
        let file = store.root().join(format!("nix/var/cairn/{kind}/{}{suffix}", info.path.base_name()));
        let good = fs::read(&file).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&file, bad).unwrap();
            let message = complaint(&store, &info);
            assert_eq!(message, format!("{} was changed", file.display()));
        }
        fs::write(&file, "").unwrap();
        complaint(&store, &info);
        assert_eq!(add_leaf(&store), info);
        store.check_quick(&info.path).unwrap();
    }
}

/// Changes what the listing says, and what the info says of the listing; but not the hash of the whole.
fn change_listing(store: &Store, info: &PathInfo, change: impl FnOnce(String) -> String) {
    let file =
        |kind: &str, end: &str| store.root().join(format!("nix/var/cairn/{kind}/{}{end}", info.path.base_name()));
    let listing = change(fs::read_to_string(file("listing", "")).unwrap());
    let hex = |text: &str| Sha256::digest(text).iter().map(|b| format!("{b:02x}")).collect::<String>();
    let hash = hex(&listing);
    let checksum = hex(&serde_json::to_string(&(info, &hash)).unwrap());
    let text = serde_json::json!({ "info": info, "listing": hash, "checksum": checksum }).to_string();
    fs::write(file("info", ".json"), text).unwrap();
    fs::write(file("listing", ""), listing).unwrap();
}

#[test]
fn a_listing_that_was_changed_as_its_tree_was_is_found_by_the_hash_of_the_whole() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    flip(&store.real_path(&info.path).join("share/hello"));
    change_listing(&store, &info, |text| {
        let (was, is) = (
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "a272663cfa53513ba86ba810d7e3d774f3275cf129954d03d37be025f95cd469",
        );
        assert!(text.contains(was), "{text}");
        text.replace(was, is)
    });
    // The quick look compares with the listing alone.
    store.check_quick(&info.path).unwrap();
    let error = store.check_contents(&info.path).unwrap_err().to_string();
    assert!(error.contains("its NAR differs (expected sha256 "), "{error}");
}

#[test]
fn stamps_of_another_number_of_files_are_none() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    let file = store.root().join("nix/var/cairn/fingerprint").join(info.path.base_name());
    let text = fs::read_to_string(&file).unwrap();
    let fewer: String = text.split_inclusive('\n').take(text.lines().count() - 2).collect();
    for other in [fewer.clone(), format!("{text}{}", text.lines().last().unwrap())] {
        fs::write(&file, other).unwrap();
        store.check_quick(&info.path).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), text.lines().count(), "they are made anew");
    }
    flip(&store.real_path(&info.path).join("share/hello"));
    fs::write(&file, fewer).unwrap();
    assert!(complaint(&store, &info).starts_with("share/hello differs"));
}

#[test]
fn a_tree_without_info_does_not_count_and_is_replaced() {
    let (store, _dir) = store();
    let info = add_leaf(&store);
    fs::remove_file(store.root().join(format!("nix/var/cairn/info/{}.json", info.path.base_name()))).unwrap();
    flip(&store.real_path(&info.path).join("share/hello"));
    assert_eq!(store.info(&info.path).unwrap(), None);
    assert!(matches!(store.check_quick(&info.path).unwrap_err(), StoreError::Missing { .. }));
    assert_eq!(store.add("leaf", leaf(&store), &[]).unwrap(), info);
    store.check_contents(&info.path).unwrap();
}

#[test]
fn an_info_without_its_tree_does_not_count() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    fs::rename(store.real_path(&info.path), dir.path().join("away"))
        .or_else(|_| {
            // An ordinary user cannot rename a read-only folder.
            fs::set_permissions(store.real_path(&info.path), fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(store.real_path(&info.path), dir.path().join("away"))
        })
        .unwrap();
    assert_eq!(store.info(&info.path).unwrap(), None);
    assert_eq!(store.paths().unwrap(), []);
    assert_eq!(add_leaf(&store), info);
}

#[test]
fn what_nobody_touched_is_looked_at_and_nothing_is_made_for_it() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    let stamps =
        || fs::read_to_string(store.root().join("nix/var/cairn/fingerprint").join(info.path.base_name())).unwrap();
    assert_eq!(stamps().lines().count(), store.listing(&info.path).unwrap().entries().len() + 1);
    settle(dir.path());
    // What was written in the same tick of the clock is read once more.
    store.check_quick(&info.path).unwrap();
    let known = stamps();
    assert!(known.lines().skip(1).all(|line| line.ends_with(" 0")), "{known}");
    let (tmp, one) = (dir.path().join("nix/var/cairn/tmp"), UNIX_EPOCH + Duration::from_secs(1));
    fs::File::open(&tmp).unwrap().set_times(FileTimes::new().set_modified(one)).unwrap();
    store.check_quick(&info.path).unwrap();
    assert_eq!(fs::metadata(&tmp).unwrap().modified().unwrap(), one, "there was something to do");
    assert_eq!(stamps(), known);
}

#[test]
fn another_kind_is_found_whatever_the_stamps_say() {
    let (store, dir) = store();
    let info = add_leaf(&store);
    let change = |name: &str, make: &dyn Fn(&Path)| {
        within(&store.real_path(&info.path).join("bin"), |bin| {
            fs::remove_file(bin.join(name)).unwrap();
            make(&bin.join(name));
        });
        let mut text = String::from("cairn-fingerprint 1\n");
        for entry in store.listing(&info.path).unwrap().iter() {
            let meta = store.real_entry(&info.path, entry).symlink_metadata().unwrap();
            let size = if meta.is_dir() { 0 } else { meta.size() };
            let time = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
            let (mtime, ctime) = (time(meta.mtime(), meta.mtime_nsec()), time(meta.ctime(), meta.ctime_nsec()));
            text += &format!("{} {size} {mtime} {ctime} 0\n", meta.ino());
        }
        fs::write(dir.path().join("nix/var/cairn/fingerprint").join(info.path.base_name()), text).unwrap();
        complaint(&store, &info)
    };
    let found = change("run", &|place| symlink("/bin/sh", place).unwrap());
    assert_eq!(found, "bin/run is no longer a regular file");
    let found = change("link", &|place| fs::write(place, "").unwrap());
    assert_eq!(found, "bin/link is no longer a symbolic link");
}
