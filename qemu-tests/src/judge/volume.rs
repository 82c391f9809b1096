//! A whole volume: every file and folder on it, and what is wrong between them.

use std::collections::{BTreeMap, HashMap};

use sha2::{Digest, Sha256};

use super::fat::{Fat, Flaw, Node};

/// SHA-256.
pub type Hash = [u8; 32];

/// What a check of the whole volume finds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Every file and folder, by path, with what is wrong with it.
    pub nodes: BTreeMap<String, (Node, Option<Flaw>)>,
    /// Pairs of paths that own a cluster together.
    pub shared: Vec<(String, String)>,
    /// Clusters that nothing refers to and that are not free.
    pub lost: usize,
    /// Whether the copies of the FAT differ.
    pub copies_differ: bool,
}

/// Checks a volume.
pub fn survey(fat: &Fat<'_>) -> Survey {
    let mut survey = Survey { copies_differ: !fat.copies_agree(), ..Survey::default() };
    let mut owners: HashMap<u32, String> = HashMap::new();
    let mut waiting = vec![(String::new(), fat.root())];
    if let Some(root) = fat.root_cluster() {
        fat.chain(root).0.into_iter().for_each(|cluster| drop(owners.insert(cluster, "/".into())));
    }
    while let Some((folder, nodes)) = waiting.pop() {
        for node in nodes {
            let path = format!("{folder}/{}", node.name);
            let (chain, flaw) = if node.folder || node.first != 0 { fat.chain(node.first) } else { (Vec::new(), None) };
            let flaw = if node.folder { flaw } else { fat.file_chain(&node).err() };
            let mut again = false;
            for cluster in &chain {
                if let Some(owner) = owners.insert(*cluster, path.clone()).filter(|owner| *owner != path) {
                    again = true;
                    let pair = (owner.clone().min(path.clone()), owner.max(path.clone()));
                    if !survey.shared.contains(&pair) {
                        survey.shared.push(pair);
                    }
                }
            }
            if node.folder && !again && path.matches('/').count() < 40 {
                waiting.push((path.clone(), fat.folder(node.first)));
            }
            if survey.nodes.insert(path.clone(), (node, flaw)).is_some() {
                survey.shared.push((path.clone(), path));
            }
        }
    }
    survey.lost = (2..fat.clusters + 2).filter(|c| fat.next(*c) != 0 && !owners.contains_key(c)).count();
    survey
}

/// The hashes of files, each worked out once for all the states of a log.
#[derive(Debug, Default)]
pub struct Hashes(HashMap<u64, Hash>);

impl Hashes {
    /// The hash of a file that is whole.
    pub fn of(&mut self, fat: &Fat<'_>, node: &Node) -> Result<Hash, Flaw> {
        let print = fat.contents_print(node)?;
        if let Some(hash) = self.0.get(&print) {
            return Ok(*hash);
        }
        let hash: Hash = Sha256::digest(fat.contents(node)?).into();
        self.0.insert(print, hash);
        Ok(hash)
    }
}
