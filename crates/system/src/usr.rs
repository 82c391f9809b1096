//! A system's own additions to `/usr`, which lie over the base's: the `cairn` program, its manual, the boot's helper,
//! compiled locales.

use std::collections::BTreeMap;

use cairn_machine::model::Boot;
use cairn_store::StorePath;

use crate::error::SystemError;
use crate::etc::completion;
use crate::initrd::STAGE1;
use crate::program::{Carried, INSIDE};
use crate::tree::{EXECUTABLE, Node, Tree};

/// The whole tree. `more` are files by their path below `/usr`: man pages, completions. `links` lead from such paths to store
/// paths of their own: locales.
pub fn tree(
    carried: &Carried,
    boot: &Boot,
    more: &BTreeMap<String, Vec<u8>>,
    links: &[(String, StorePath)],
) -> Result<Tree, SystemError> {
    let mut tree = Tree::default();
    for (path, bytes) in more {
        tree.file(path, bytes.clone())?;
    }
    tree.link("bin/cairn", format!("{}/{INSIDE}", carried.path))?;
    for (path, to) in links {
        tree.link(path, to.to_string())?;
    }
    // The running system's units use the same helper as the initrd: it depends on nothing that may be broken.
    tree.put("lib/cairn/cairn-stage1", Node::File(STAGE1.to_vec()), EXECUTABLE)?;
    for (path, script) in completion::scripts(boot) {
        tree.file(&path, script)?;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_linked_and_not_copied() {
        let path = StorePath::from_basename("0123456789abcdfghijklmnpqrsvwxyz-cairn-1.2").unwrap();
        let carried = Carried { path, version: "1.2".into(), sha256: String::new() };
        let more = BTreeMap::from([("share/man/man1/cairn.1".to_string(), b".TH".to_vec())]);
        let tree =
            tree(&carried, &Boot::default(), &more, &[("lib/locale/de_DE.utf8".into(), carried.path.clone())]).unwrap();
        let link = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-cairn-1.2/bin/cairn";
        assert_eq!(tree.get("bin/cairn"), Some(&Node::Link(link.into())));
        let link = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-cairn-1.2";
        assert_eq!(tree.get("lib/locale/de_DE.utf8"), Some(&Node::Link(link.into())));
        assert_eq!(tree.text("share/man/man1/cairn.1").as_deref(), Some(".TH"));
        assert!(tree.get("lib/cairn/cairn-stage1").is_some());
        assert_eq!(tree.special("usr/"), "", "a store path carries all of it");
    }
}
