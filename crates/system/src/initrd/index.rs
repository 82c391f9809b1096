//! The indices in which libkmod looks modules up (kmod, libkmod/libkmod-index.c), for just the modules that an initrd
//! holds. With the base's own, udev would try to load every module that a device could use, and complain about each
//! that is not there. Pure.
//!
//! A file is a magic number, a version, the root node's offset, and nodes; numbers are big-endian. An offset's upper
//! four bits say what the node has, in this order: a prefix that all keys below it share, its children by the next
//! byte of the key, the values of the key that ends here.

use std::collections::BTreeMap;

use super::modules::{name_of, plain};
use super::pattern::underscores;

const MAGIC: u32 = 0xB007_F457;
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// The values of a key, each with its rank: libkmod tries lower ranks first.
type Values<'a> = Vec<(u32, &'a str)>;
/// Keys with their values.
type Pairs<'a> = BTreeMap<&'a str, Values<'a>>;

/// `modules.dep.bin` of the lines of `modules.dep` whose module `has` accepts, with the paths of plain modules.
pub fn dependencies(dep: &str, has: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let mut names = Vec::new();
    for (rank, line) in (0..).zip(dep.lines()) {
        let (path, needs) = line.split_once(':').unwrap_or((line, ""));
        let name = name_of(path);
        if has(&name) {
            let needs = needs.split_ascii_whitespace().map(|path| format!(" {}", plain(path)));
            names.push((name, rank, format!("{}:{}", plain(path), needs.collect::<String>())));
        }
    }
    let mut pairs = Pairs::new();
    for (name, rank, line) in &names {
        pairs.entry(name).or_default().push((*rank, line));
    }
    index(&pairs)
}

/// `modules.alias.bin` of the lines of `modules.alias` whose module `has` accepts; `modules.symbols.bin` likewise.
pub fn aliases(alias: &str, has: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let mut found = Vec::new();
    for (rank, line) in (0..).zip(alias.lines()) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        if let ["alias", pattern, module] = words[..]
            && has(&underscores(module))
        {
            found.push((underscores(pattern), rank, module));
        }
    }
    let mut pairs = Pairs::new();
    for (pattern, rank, module) in &found {
        pairs.entry(pattern).or_default().push((*rank, module));
    }
    index(&pairs)
}

/// The lines of `modules.softdep` about a module that `has` accepts.
pub fn soft_dependencies(softdep: &str, has: &dyn Fn(&str) -> bool) -> String {
    let wanted = |line: &&str| line.split_ascii_whitespace().nth(1).is_some_and(|name| has(&name_of(name)));
    softdep.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

fn index(pairs: &Pairs<'_>) -> Vec<u8> {
    let mut out: Vec<u8> = [MAGIC, VERSION, 0].iter().flat_map(|n| n.to_be_bytes()).collect();
    let list: Vec<(&[u8], &Values<'_>)> = pairs.iter().map(|(k, v)| (k.as_bytes(), v)).collect();
    let root = node(&mut out, &list, 0);
    out[8..12].copy_from_slice(&root.to_be_bytes());
    out
}

/// Writes the node of keys that agree in their first `depth` bytes, after its children; gives its offset.
fn node(out: &mut Vec<u8>, keys: &[(&[u8], &Values<'_>)], depth: usize) -> u32 {
    // The keys are sorted: what the first and the last share, all share.
    let shared = match (keys.first(), keys.last()) {
        (Some((first, _)), Some((last, _))) => {
            first[depth..].iter().zip(&last[depth..]).take_while(|(a, b)| a == b).count()
        }
        _ => 0,
    };
    let end = depth + shared;
    let prefix = keys.first().map_or(&[][..], |(key, _)| &key[depth..end]);
    let (values, longer) = match keys.split_first() {
        Some(((key, values), rest)) if key.len() == end => (values.as_slice(), rest),
        _ => (&[][..], keys),
    };
    let mut children: BTreeMap<u8, u32> = BTreeMap::new();
    for group in longer.chunk_by(|a, b| a.0[end] == b.0[end]) {
        children.insert(group[0].0[end], node(out, group, end + 1));
    }

    // An index of modules is far below the 256 MiB that an offset can name.
    let mut offset = out.len() as u32;
    if !prefix.is_empty() {
        offset |= HAS_PREFIX;
        out.extend_from_slice(prefix);
        out.push(0);
    }
    if let (Some((&first, _)), Some((&last, _))) = (children.first_key_value(), children.last_key_value()) {
        offset |= HAS_CHILDREN;
        out.extend([first, last]);
        for byte in first..=last {
            out.extend(children.get(&byte).copied().unwrap_or(0).to_be_bytes());
        }
    }
    if !values.is_empty() {
        offset |= HAS_VALUES;
        out.extend((values.len() as u32).to_be_bytes());
        for (rank, value) in values {
            out.extend(rank.to_be_bytes());
            out.extend_from_slice(value.as_bytes());
            out.push(0);
        }
    }
    offset
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks a key up as libkmod does.
    fn find(index: &[u8], key: &str) -> Vec<String> {
        let number = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
        let text = |at: usize| {
            let end = index[at..].iter().position(|b| *b == 0).unwrap();
            String::from_utf8(index[at..at + end].to_vec()).unwrap()
        };
        assert_eq!((number(0), number(4)), (MAGIC, VERSION));
        let (mut node, mut rest) = (number(8), key.as_bytes());
        loop {
            let mut at = (node & 0x0FFF_FFFF) as usize;
            if node & HAS_PREFIX != 0 {
                let prefix = text(at);
                let Some(after) = rest.strip_prefix(prefix.as_bytes()) else { return vec![] };
                (rest, at) = (after, at + prefix.len() + 1);
            }
            let mut next = None;
            if node & HAS_CHILDREN != 0 {
                let (first, last) = (index[at], index[at + 1]);
                if let Some(byte) = rest.first().filter(|b| (first..=last).contains(b)) {
                    next = Some(number(at + 2 + 4 * usize::from(byte - first)));
                }
                at += 2 + 4 * (usize::from(last - first) + 1);
            }
            let Some((_, after)) = rest.split_first() else {
                let count = if node & HAS_VALUES != 0 { number(at) } else { 0 };
                at += 4;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(text(at + 4));
                    at += 5 + values.last().unwrap().len();
                }
                return values;
            };
            match next {
                Some(child) if child != 0 => (node, rest) = (child, after),
                _ => return vec![],
            }
        }
    }

    const DEP: &str =
        "kernel/a/cairn-disk.ko.xz: kernel/b/cairn.ko.xz\nkernel/b/cairn.ko.xz:\nkernel/c/cairn_net.ko:\n";

    #[test]
    fn modules_that_are_there_are_found_and_others_are_not() {
        let index = dependencies(DEP, &|name| name != "cairn_net");
        assert_eq!(find(&index, "cairn_disk"), ["kernel/a/cairn-disk.ko: kernel/b/cairn.ko"]);
        assert_eq!(find(&index, "cairn"), ["kernel/b/cairn.ko:"]);
        for absent in ["cairn_net", "cair", "cairn_", "cairn_disk2", "x", ""] {
            assert_eq!(find(&index, absent), Vec::<String>::new(), "{absent}");
        }
    }

    #[test]
    fn an_alias_may_lead_to_several_modules() {
        let text = "# x\nalias pci:v1* a\nalias pci:v1* b\nalias pci:v2* gone\nalias pci:v* c\n";
        let index = aliases(text, &|name| name != "gone");
        assert_eq!(find(&index, "pci:v1*"), ["a", "b"]);
        assert_eq!(find(&index, "pci:v*"), ["c"]);
        assert_eq!(find(&index, "pci:v2*"), Vec::<String>::new());
        let index = aliases("alias fs-overlay overlay\nalias dmi:*[0-9]x-y* z\n", &|_| true);
        assert_eq!(find(&index, "fs_overlay"), ["overlay"]);
        assert_eq!(find(&index, "dmi:*[0-9]x_y*"), ["z"]);
    }

    #[test]
    fn an_empty_index_is_one() {
        assert_eq!(find(&aliases("", &|_| true), "x"), Vec::<String>::new());
        assert_eq!(
            soft_dependencies("# x\nsoftdep a pre: b\nsoftdep c-d pre: b\n", &|n| n == "c_d"),
            "softdep c-d pre: b\n"
        );
    }

    /// modprobe itself, where it is installed, reads what was written. (The names are not those of real modules, because
    /// it leaves out what the running kernel has.)
    #[test]
    fn modprobe_understands_the_index() {
        if cairn_process::find("modprobe").is_none() {
            cairn_testkit::skip("modprobe is not installed");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("lib/modules/6.0");
        for file in ["kernel/a/cairn-disk.ko", "kernel/b/cairn.ko", "kernel/c/cairn_net.ko"] {
            std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            std::fs::write(folder.join(file), "").unwrap();
        }
        std::fs::write(folder.join("modules.dep.bin"), dependencies(DEP, &|_| true)).unwrap();
        let alias = "alias pci:v00001AF4d*sv* cairn_disk\nalias my-disk cairn_disk\n";
        std::fs::write(folder.join("modules.alias.bin"), aliases(alias, &|_| true)).unwrap();
        let modprobe = |name: &str| {
            let tool = cairn_process::Tool::new("modprobe", "kmod", "test the index");
            let tool = tool.args(["--show-depends", "--set-version", "6.0", "--dirname"]);
            String::from_utf8(tool.arg(dir.path()).arg(name).output().unwrap()).unwrap()
        };
        let blk = modprobe("cairn-disk");
        let order = ["b/cairn.ko", "a/cairn-disk.ko"].map(|m| blk.find(m));
        assert!(order.is_sorted() && order[0].is_some(), "{blk}");
        assert_eq!(modprobe("pci:v00001AF4d00001001sv00001AF4"), blk);
        assert_eq!(modprobe("my-disk"), blk);
    }
}
