//! The machine's name, and its own addresses by name.

use cairn_machine::model::Machine;

use crate::error::SystemError;
use crate::tree::Tree;

/// The host name while a base is made. What the packages' scripts then write into their settings (postfix' `myhostname`,
/// `/etc/mailname`) is the machine's own name in its `/etc`.
pub const NEUTRAL: &str = "cairn-base-host";

/// Puts `hostname` and `hosts`, and the name where the packages have one in their settings.
///
/// # Errors
/// See [`Tree::file`].
pub fn apply(tree: &mut Tree, machine: &Machine) -> Result<(), SystemError> {
    let name = &machine.hostname;
    rename(tree, name);
    tree.file("hostname", format!("{name}\n"))?;
    // Debian's way: the name is there without a network, on an address of its own.
    let names = match name.split_once('.') {
        Some((short, _)) => format!("{name} {short}"),
        None => name.clone(),
    };
    let hosts = format!(
        "127.0.0.1 localhost\n127.0.1.1 {names}\n\n::1 localhost ip6-localhost ip6-loopback\n\
         ff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n"
    );
    tree.file("hosts", hosts)
}

fn rename(tree: &mut Tree, name: &str) {
    tree.edit(|_, text| replaced(text, NEUTRAL.as_bytes(), name.as_bytes()));
}

/// A text with every occurrence of a word replaced; `None` if there is none.
fn replaced(text: &[u8], word: &[u8], by: &[u8]) -> Option<Vec<u8>> {
    let next = |text: &[u8]| text.windows(word.len()).position(|w| w == word);
    let mut at = next(text)?;
    let (mut new, mut rest) = (Vec::new(), text);
    loop {
        new.extend_from_slice(&rest[..at]);
        new.extend_from_slice(by);
        rest = &rest[at + word.len()..];
        match next(rest) {
            Some(next) => at = next,
            None => break,
        }
    }
    new.extend_from_slice(rest);
    Some(new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_with_the_name_of_the_base_get_the_machines_own() {
        let mut tree = Tree::default();
        tree.file("mailname", format!("{NEUTRAL}\n")).unwrap();
        tree.file(
            "postfix/main.cf",
            format!("myhostname = {NEUTRAL}\nmydestination = {NEUTRAL}.localdomain, {NEUTRAL}"),
        )
        .unwrap();
        tree.file("other", "cairn-base\n").unwrap();
        rename(&mut tree, "web.example.org");
        assert_eq!(tree.text("mailname").unwrap(), "web.example.org\n");
        let postfix = "myhostname = web.example.org\nmydestination = web.example.org.localdomain, web.example.org";
        assert_eq!(tree.text("postfix/main.cf").unwrap(), postfix);
        assert_eq!(tree.text("other").unwrap(), "cairn-base\n");
    }
}
