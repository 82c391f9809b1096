//! What a firmware gets to from a program on the partition, through shim where there is one.

use super::*;

/// The second version of shim no longer trusts the first version of a signed loader.
pub const SHIMS: [(&str, u64); 2] = [("shim-1", 5000), ("shim-2", 5100)];
pub const SIGNED: [(&str, u64); 2] = [("signed-1", 9200), ("signed-2", 9300)];
const UNSIGNED: [(&str, u64); 2] = [("loader", 9000), ("loader-2", 9100)];
/// What stands for a GRUB that was made for the machine.
pub const OWN_GRUB: &[u8] = b"a GRUB of the machine's own";

/// A version of Debian's chain, 1 or 2.
pub fn chain(version: usize, grub: bool) -> LoaderProgram {
    let of = |known: &[(&str, u64)]| artifact(known[version - 1].0, known[version - 1].1);
    let script = format!("set prefix=/{}\n", installation().grub_folder());
    LoaderProgram::Shim(ShimChain {
        shim: of(&SHIMS),
        loader: of(&SIGNED),
        keys: artifact("keys", 700),
        grub: grub.then_some(script),
    })
}

/// Which of the known programs is whole under this path.
fn known(volume: &Memory, path: &str) -> Option<&'static str> {
    let bytes = volume.files.get(path)?;
    let all = SHIMS.iter().chain(&SIGNED).chain(&UNSIGNED);
    let is = |(name, size): &&(&str, u64)| store_bytes(&artifact(name, *size)) == *bytes;
    let signed = || {
        let is = |(name, size): &&(&'static str, u64)| {
            signed::bytes(&signed::loader(&artifact(name, *size)).pieces) == *bytes
        };
        UNSIGNED.iter().find(is).map(|(name, _)| *name)
    };
    let found = all.copied().find(|one| is(&one)).map(|(name, _)| name).or_else(signed);
    found.or((bytes == OWN_GRUB).then_some("own GRUB"))
}

/// The loader that runs when the firmware starts this program, or why none does. With `grub` the signed ones are GRUB, and have to
/// find a menu.
pub fn starts(volume: &Memory, path: &str, grub: bool) -> Result<&'static str, String> {
    let first = known(volume, path).ok_or_else(|| format!("/{path} is none that starts"))?;
    let loader = if first.starts_with("shim") {
        let second = format!("{}/grubx64.efi", path.rsplit_once('/').unwrap().0);
        let loader = known(volume, &second).filter(|second| !second.starts_with("shim"));
        let loader = loader.ok_or_else(|| format!("{first} finds nothing that starts in /{second}"))?;
        if (first, loader) == ("shim-2", "signed-1") {
            return Err("shim-2 starts no loader that is as old as signed-1".into());
        }
        loader
    } else {
        first
    };
    let read = |path: &str| volume.files.get(path).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let folder = installation().grub_folder();
    if grub && loader.starts_with("signed") && !read(SIGNED_GRUB_READS).is_some_and(|text| text.contains(&folder)) {
        return Err(format!("{loader} finds no script"));
    }
    if grub {
        let pointer = read(&format!("{folder}/grub.cfg")).unwrap_or_default();
        let menu = pointer.split('\'').find(|part| part.starts_with("menu-"));
        let menu = menu.and_then(|menu| read(&format!("{folder}/{menu}.cfg"))).unwrap_or_default();
        if !menu.ends_with("set cairn_menu=complete\n") {
            return Err(format!("{loader} finds no menu: {pointer}"));
        }
    }
    Ok(loader)
}
