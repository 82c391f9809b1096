//! Makes a small store with a database, two generations and garbage-collection roots, as an image has it, and a binary
//! cache of the same in `DIR/binary-cache`:
//! `cargo run -p cairn-store --example make_store -- DIR [SECRET-KEY-FILE]`. `scripts/test-nix DIR [PUBLIC-KEY]` shows
//! it to real Nix versions.

use std::error::Error;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use cairn_store::binary_cache::{self, Compression};
use cairn_store::{PathInfo, SigningKey, Store, StorePath, database, profile};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args_os().skip(1);
    let dir = args.next().ok_or("usage: make_store DIR [SECRET-KEY-FILE]")?;
    let key = args.next().map(|file| SigningKey::load(Path::new(&file))).transpose()?;
    let dir = Path::new(&dir);
    let store = Store::open(dir)?;
    let base = base(&store)?;
    let etc = etc(&store, &base)?;
    let systems = [system(&store, &base, &etc, 1)?, system(&store, &base, &etc, 2)?];

    let mut infos = store.closure(&systems)?;
    if let Some(key) = &key {
        infos.iter_mut().for_each(|info| info.sign(key));
    }
    database::write(&dir.join(database::DATABASE_DIR), &infos)?;
    fs::write(dir.join("nix-path-registration"), database::registration(&infos)?)?;
    binary_cache::write(&dir.join("binary-cache"), &infos, &store, Compression::Zstd)?;
    let links = profile::links(2, &systems[1]).into_iter().chain([profile::generation_link(1, &systems[0])]);
    for link in links {
        let path = dir.join(&link.path);
        fs::create_dir_all(path.parent().ok_or("a link at the root")?)?;
        symlink(&link.target, &path)?;
    }
    infos.iter().for_each(|info| println!("{}", info.path));
    Ok(())
}

fn base(store: &Store) -> Result<StorePath, Box<dyn Error>> {
    let scratch = store.scratch()?;
    let top = scratch.path();
    fs::create_dir_all(top.join("usr/bin"))?;
    fs::create_dir_all(top.join("usr/share/ünï/empty"))?;
    fs::write(top.join("usr/bin/run"), "#!/bin/sh\necho run\n")?;
    fs::set_permissions(top.join("usr/bin/run"), fs::Permissions::from_mode(0o4755))?;
    fs::write(top.join("usr/share/big"), vec![b'x'; 3_000_001])?;
    fs::write(top.join("usr/share/same"), vec![b'x'; 3_000_001])?;
    symlink("bin/run", top.join("usr/run"))?;
    Ok(store.add("hello-base", scratch, &[])?.path)
}

fn etc(store: &Store, base: &StorePath) -> Result<StorePath, Box<dyn Error>> {
    let scratch = store.scratch()?;
    fs::write(scratch.path().join("hostname"), "hello\n")?;
    symlink(format!("{base}/usr/bin/run"), scratch.path().join("run"))?;
    Ok(store.add("hello-etc", scratch, std::slice::from_ref(base))?.path)
}

/// A system names itself, so it cannot be content-addressed.
fn system(store: &Store, base: &StorePath, etc: &StorePath, number: u8) -> Result<StorePath, Box<dyn Error>> {
    let path = Store::input_addressed_path("hello-system", format!("{number} {base} {etc}").as_bytes())?;
    let scratch = store.scratch()?;
    let init = format!("#!{path}/base/usr/bin/run\n# {number}\n");
    fs::write(scratch.path().join("init"), init)?;
    fs::set_permissions(scratch.path().join("init"), fs::Permissions::from_mode(0o755))?;
    symlink(base.to_string(), scratch.path().join("base"))?;
    symlink(etc.to_string(), scratch.path().join("etc"))?;
    let info: PathInfo = store.add_input_addressed(&path, scratch, &[base.clone(), etc.clone()], None)?;
    Ok(info.path)
}
