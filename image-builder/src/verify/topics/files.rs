//! Files under /etc: contents, links, permissions, owners.

use std::collections::BTreeMap;

use cairn_store::to_hex;
use sha2::{Digest, Sha256};

use crate::verify::answer::Answer;
use crate::verify::check::Check;
use crate::verify::expected::{Content, Expected, ExpectedFile};
use crate::verify::script::quote;

pub(super) fn ask(expected: &Expected) -> Option<String> {
    if expected.files.is_empty() {
        return None;
    }
    let all: Vec<String> = expected.files.keys().map(|path| quote(path)).collect();
    let all = all.join(" ");
    // The number in front of each line is the file's: a name may hold anything.
    Some(format!(
        "n=0; for f in {all}; do\n\
         echo \"$n stat $(stat -c '%a %U %G' -- \"$f\" 2>/dev/null)\"\n\
         if [ -L \"$f\" ]; then echo \"$n link $(readlink -- \"$f\")\"\n\
         elif [ -f \"$f\" ]; then echo \"$n sum $(sha256sum <\"$f\" | cut -c 1-64)\"\n\
         elif [ -e \"$f\" ]; then echo \"$n other\"; fi; n=$((n+1)); done"
    ))
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let mut told: BTreeMap<(usize, &str), &str> = BTreeMap::new();
    for line in answer.out.lines() {
        let mut words = line.splitn(3, ' ');
        if let (Some(Ok(number)), Some(key)) = (words.next().map(str::parse), words.next()) {
            told.insert((number, key), words.next().unwrap_or_default());
        }
    }
    let judge = |(n, (path, file)): (usize, (&String, &ExpectedFile))| {
        let get = |key| told.get(&(n, key)).copied();
        judge_file(path, file, get("stat").unwrap_or_default(), get("link"), get("sum"))
    };
    expected.files.iter().enumerate().map(judge).collect()
}

fn judge_file(path: &str, file: &ExpectedFile, stat: &str, link: Option<&str>, sum: Option<&str>) -> Check {
    let (want, have) = match &file.content {
        Content::Link(target) => {
            let have = link.map_or_else(|| kind(stat, sum), |l| format!("link to {l}"));
            return Check::equal(format!("file {path}"), format!("link to {target}"), have);
        }
        Content::Bytes(bytes) => {
            let want: String = to_hex(&Sha256::digest(bytes));
            // Sixteen digits tell two files apart, and can be read.
            let short = |sum: &str| format!("sha256 {}", &sum[..sum.len().min(16)]);
            (short(&want), sum.map_or_else(|| link.map_or_else(|| kind(stat, sum), |l| format!("link to {l}")), short))
        }
        Content::Anything => ("a file".into(), kind(stat, sum)),
    };
    let mut fields = stat.split(' ');
    let (mode, user, group) =
        (fields.next().unwrap_or_default(), fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    // A mode that the machine file does not name may be the store's own.
    let want_mode = file.mode.as_deref().unwrap_or(if mode == "444" { "444" } else { "644" });
    Check::equal(
        format!("file {path}"),
        format!("{want}, mode {want_mode}, {}:{}", file.user, file.group),
        if stat.is_empty() { have } else { format!("{have}, mode {mode}, {user}:{group}") },
    )
}

fn kind(stat: &str, sum: Option<&str>) -> String {
    if sum.is_some() {
        "a file"
    } else if stat.is_empty() {
        "missing"
    } else {
        "something else"
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> Expected {
        let file = |content, mode: Option<&str>| ExpectedFile {
            content,
            mode: mode.map(str::to_string),
            user: "root".into(),
            group: "root".into(),
        };
        Expected {
            files: [
                ("/etc/hello".into(), file(Content::Bytes(b"hello\n".to_vec()), None)),
                ("/etc/it's".into(), file(Content::Anything, Some("600"))),
                ("/etc/link".into(), file(Content::Link("/run/x".into()), None)),
            ]
            .into(),
            ..Expected::default()
        }
    }

    const OUT: &str = "0 stat 444 root root\n0 sum 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03\n\
        1 stat 600 root root\n1 sum 00\n2 stat 777 root root\n2 link /run/x\n";

    fn failing(out: &str) -> Vec<String> {
        let checks = judge(&expected(), &Answer { out: out.into(), ..Answer::default() });
        checks.into_iter().filter(|c| !c.ok).map(|c| format!("{}: {}", c.name, c.found)).collect()
    }

    #[test]
    fn files_as_declared_pass() {
        assert!(failing(OUT).is_empty(), "{:?}", failing(OUT));
    }

    #[test]
    fn contents_modes_owners_and_targets_count() {
        assert_eq!(failing(&OUT.replace("5891", "5892")).len(), 1);
        assert_eq!(failing(&OUT.replace("600 root", "640 root")), ["file /etc/it's: a file, mode 640, root:root"]);
        assert_eq!(failing(&OUT.replace("/run/x", "/run/y")), ["file /etc/link: link to /run/y"]);
        assert_eq!(failing("").len(), 3);
        assert!(failing("")[0].ends_with("missing"));
    }

    #[test]
    fn the_command_is_one_that_a_shell_understands() {
        let command = ask(&expected()).unwrap();
        cairn_process::Tool::new("sh", "dash", "check it").args(["-n", "-c"]).arg(command).run().unwrap();
    }
}
