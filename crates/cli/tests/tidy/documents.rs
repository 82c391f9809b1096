//! Documents that show what exists.

use crate::{files, nothing_wrong, read, root};

#[test]
fn the_machine_file_in_the_readme_is_the_example() {
    let readme = read("README.md");
    let block = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    assert_eq!(block, read("examples/hello.yaml"), "README.md shows another machine file than examples/hello.yaml");
    assert!(block.lines().count() <= 60, "more than a screenful");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut wrong = Vec::new();
    for file in files("").into_iter().filter(|f| f.ends_with(".md")) {
        let text = read(&file);
        let here = root().join(&file).parent().unwrap().to_path_buf();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap();
            if !path.is_empty() && !path.contains("://") && !here.join(path).exists() {
                wrong.push(format!("{file}: {link}"));
            }
        }
    }
    nothing_wrong("a link in a document leads to a file", &wrong);
}

#[test]
fn what_people_expect_in_a_repository_is_there() {
    let wanted = [
        ".ci/run",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "scripts/demo",
        "scripts/setup",
        "scripts/test",
    ];
    let wrong: Vec<String> = wanted.iter().filter(|f| !root().join(f).is_file()).map(|f| f.to_string()).collect();
    nothing_wrong("missing", &wrong);
}

#[test]
fn scripts_can_be_run() {
    use std::os::unix::fs::PermissionsExt;
    let wrong: Vec<String> = files("scripts")
        .into_iter()
        .chain([".ci/run".into()])
        .filter(|f| read(f).starts_with("#!"))
        .filter(|f| root().join(f).metadata().unwrap().permissions().mode() & 0o111 == 0)
        .collect();
    nothing_wrong("a script is executable", &wrong);
}

#[test]
fn every_exit_code_is_in_the_readme_and_in_the_man_page() {
    let source = read("crates/cli/src/exit.rs");
    let numbers = source.split_once("pub enum Exit {").and_then(|(_, rest)| rest.split_once("\n}")).unwrap().0;
    let codes: Vec<&str> =
        numbers.lines().filter_map(|line| line.trim().strip_suffix(',')?.split_once(" = ")).map(|(_, n)| n).collect();
    assert!(codes.len() >= 8 && codes.iter().all(|n| n.parse::<u8>().is_ok()), "{codes:?}");
    let (readme, page) = (read("README.md"), read("crates/cli/src/man/exit-status.roff"));
    let mut wrong = Vec::new();
    for code in &codes {
        if !readme.contains(&format!("\n| {code} | ")) {
            wrong.push(format!("README.md: {code}"));
        }
        if !page.contains(&format!("\\fB{code}\\fR\n")) {
            wrong.push(format!("the man page: {code}"));
        }
    }
    // And none that the command never ends with.
    let table = readme.split_once("| exit code | meaning |").unwrap().1.split("\n\n").next().unwrap();
    let told =
        table.lines().filter_map(|row| row.strip_prefix("| ")?.split(' ').next()).filter(|n| n.parse::<u8>().is_ok());
    wrong.extend(told.filter(|n| !codes.contains(n)).map(|n| format!("README.md has {n}, which is none")));
    nothing_wrong("README.md and the man page have every exit code", &wrong);
}
