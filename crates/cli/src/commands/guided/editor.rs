//! The machine file in an editor.

use std::path::Path;
use std::process::Stdio;

use cairn_process::{Tool, find};

use crate::signals::Theirs;

/// What is taken where nobody says another.
const USUAL: [&str; 2] = ["nano", "vi"];

/// What is run: `$EDITOR`, with its arguments, or the first of the usual ones that is there.
fn command(wanted: Option<&str>, there: impl Fn(&str) -> bool) -> Option<Vec<String>> {
    let wanted: Vec<String> = wanted.unwrap_or_default().split_whitespace().map(ToString::to_string).collect();
    match wanted.first() {
        Some(program) if there(program) => Some(wanted),
        _ => USUAL.into_iter().find(|one| there(one)).map(|one| vec![one.into()]),
    }
}

/// Lets somebody change a file; whether there is an editor.
///
/// # Errors
/// It ends badly.
pub fn edit(file: &Path) -> anyhow::Result<bool> {
    let wanted = std::env::var("EDITOR").ok();
    let Some(command) = command(wanted.as_deref(), |program| find(program).is_some()) else { return Ok(false) };
    let (program, arguments) =
        command.split_first().map_or(("vi", &[][..]), |(program, rest)| (program.as_str(), rest));
    let tool = Tool::new(program, "nano", "change the machine file").args(arguments.iter().cloned()).arg(file);
    let _theirs = Theirs::begin();
    tool.on_the_terminal().start(Stdio::inherit(), Stdio::inherit())?.wait()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editor_is_the_persons_own_or_a_usual_one() {
        let there = |program: &str| ["emacs", "vi"].contains(&program);
        assert_eq!(command(Some("emacs -nw"), there), Some(vec!["emacs".into(), "-nw".into()]));
        assert_eq!(command(Some("ed"), there), Some(vec!["vi".into()]));
        assert_eq!(command(Some(" "), there), Some(vec!["vi".into()]));
        assert_eq!(command(None, |_| false), None);
    }
}
