//! Documents and examples that cannot drift: every YAML block in a Markdown file checks clean, the examples do too, also
//! by an independent validator of the published schema, and the reference holds the tables of the schema.

use std::path::{Path, PathBuf};

use crate::common::{examples, root, to_json};

/// Every Markdown file of the repository.
fn documents() -> Vec<PathBuf> {
    fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
        let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() && !name.starts_with('.') && name != "target" && name != "out" {
                visit(&path, found);
            } else if name.ends_with(".md") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    visit(&root(), &mut found);
    found
}

/// The blocks marked as YAML, with the line at which each begins.
fn yaml_blocks(text: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (i, line) in text.lines().enumerate() {
        match (&mut open, line.trim_end()) {
            (None, "```yaml") => open = Some((i + 2, String::new())),
            (Some(_), "```") => blocks.extend(open.take()),
            (Some((_, block)), _) => *block += &format!("{line}\n"),
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// What a fragment is completed with, key by key, where it does not say the same itself.
const REST: [(&str, &str); 4] = [
    ("version", "version: 1\n"),
    ("hostname", "hostname: fragment\n"),
    ("source", "source: {debian: {}}\n"),
    ("disks", "disks: {main: {layout: uefi}}\n"),
];

/// A block whose first line is `# fragment` needs not be a whole machine file; `# hardware` marks a hardware file, `# install` an
/// install file.
fn check_block(name: &str, block: &str) -> Result<(), String> {
    let mut text = block.to_owned();
    if block.starts_with("# hardware") {
        let file = cairn_machine::SourceFile::new(name, text);
        return cairn_machine::check_hardware(&file).map(drop).map_err(|problems| problems.to_string());
    }
    if block.starts_with("# install") {
        let file = cairn_machine::SourceFile::new(name, text);
        return cairn_machine::check_install(&file).map(drop).map_err(|problems| problems.to_string());
    }
    if block.starts_with("# fragment") {
        for (key, line) in REST {
            if !block.lines().any(|line| line.starts_with(&format!("{key}:"))) {
                text += line;
            }
        }
    }
    let mut hardware = |_: &str| Ok(b"version: 1\n".to_vec());
    let file = cairn_machine::SourceFile::new(name, text);
    cairn_machine::check(&file, &mut hardware).map(drop).map_err(|problems| problems.to_string())
}

#[test]
fn every_yaml_block_in_a_document_checks_clean() {
    let mut wrong = Vec::new();
    for path in documents() {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        for (line, block) in yaml_blocks(&std::fs::read_to_string(&path).unwrap()) {
            if let Err(problems) = check_block("block", &block) {
                wrong.push(format!("{name}, the block at line {line}:\n{problems}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn every_example_checks_clean_and_without_a_warning() {
    let examples = examples();
    assert!(examples.len() >= 3);
    for (name, text) in examples {
        let checked = crate::common::check(&text).unwrap_or_else(|problems| panic!("{name}:\n{problems}"));
        assert_eq!(checked.warnings, [], "{name}");
        for file in checked.named_files() {
            let bytes = std::fs::read(root().join("examples").join(&file.path)).unwrap();
            if let cairn_machine::FilePurpose::PasswordHash(_) = file.purpose {
                cairn_machine::password_hash(&bytes).unwrap();
            }
        }
    }
}

/// What an independent validator says about a value. It holds the schema itself against draft 2020-12 as well.
fn validate(schema: serde_json::Value, text: &str) -> Result<(), String> {
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("urn:cairn", schema).unwrap();
    let index = compiler.compile("urn:cairn", &mut schemas).unwrap();
    schemas.validate(&to_json(text), index).map_err(|error| error.to_string())
}

#[test]
fn the_examples_and_the_template_fit_the_schema_by_an_independent_validator() {
    let schema = cairn_machine::schema::schema;
    for (name, text) in examples().into_iter().chain([("template".into(), cairn_machine::template("hello"))]) {
        validate(schema(), &text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    assert!(validate(schema(), crate::common::LEAST).is_ok());
    let wrong = [
        crate::common::LEAST.replace("least", "x_"),
        crate::common::LEAST.replace("layout: uefi", "layout: efi"),
        crate::common::LEAST.replace("layout: uefi", "layout: uefi, size: 10 GB B"),
        crate::common::LEAST.replace("version: 1", "version: 2"),
        crate::common::LEAST.replace("layout: uefi", "size: 1G"),
        crate::common::LEAST.replace("layout: uefi", "layout: uefi, partitions: [{type: root}]"),
        format!("{}foo: 1\n", crate::common::LEAST),
        format!("{}files: {{/usr/x: {{text: a}}}}\n", crate::common::LEAST),
        format!("{}files: {{/etc/x: {{}}}}\n", crate::common::LEAST),
        format!("{}users: {{alice: {{uid: x}}}}\n", crate::common::LEAST),
        format!("{}boot: {{entries: {{a: {{title: x}}}}}}\n", crate::common::LEAST),
        format!("{}boot: {{entries: {{A: {{efi: x}}}}}}\n", crate::common::LEAST),
        format!("{}boot: {{files: {{/a: {{text: x}}}}}}\n", crate::common::LEAST),
        format!("{}boot: {{files: {{'a:b': {{text: x}}}}}}\n", crate::common::LEAST),
        format!("{}boot: {{files: {{a: {{}}}}}}\n", crate::common::LEAST),
        format!("{}boot: {{password_hash: secret}}\n", crate::common::LEAST),
        format!("{}boot: {{tries: 10}}\n", crate::common::LEAST),
    ];
    for text in wrong {
        assert!(validate(schema(), &text).is_err(), "{text}");
    }
    assert!(validate(cairn_machine::schema::hardware_schema(), "version: 1\ninitrd_modules: [nvme]\n").is_ok());
}

#[test]
fn every_key_of_the_schema_is_described() {
    fn visit(schema: &serde_json::Value, path: &str, wrong: &mut Vec<String>) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            if property["description"].as_str().is_none_or(str::is_empty) {
                wrong.push(format!("{path}.{key}"));
            }
        }
    }
    let mut wrong = Vec::new();
    for schema in [cairn_machine::schema::schema(), cairn_machine::schema::hardware_schema()] {
        visit(&schema, "", &mut wrong);
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            visit(definition, name, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// `CAIRN_UPDATE=1 cargo test -p cairn-machine` writes the tables into the document.
#[test]
fn the_reference_has_the_tables_of_the_schema() {
    let path = root().join("docs/machine-file.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- keys: begin, generated from the schema -->\n", "<!-- keys: end -->");
    let (head, rest) = text.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    let wanted = format!("{head}{begin}{}\n{end}{tail}", cairn_machine::reference());
    if std::env::var_os("CAIRN_UPDATE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/machine-file.md is out of date: CAIRN_UPDATE=1 cargo test -p cairn-machine");
    }
}

#[test]
fn what_init_writes_checks_clean() {
    for name in ["hello", "web-1.example.org", "123", "null", "1e3", "true"] {
        let checked =
            crate::common::check(&cairn_machine::template(name)).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(checked.machine.hostname, name);
    }
}

/// The lines that the template has switched off are good as well, each group switched on by itself.
#[test]
fn what_the_template_explains_checks_clean_too() {
    let template = cairn_machine::template("hello");
    let mut lines: Vec<String> = Vec::new();
    let mut switched = 0;
    for line in template.lines() {
        let indent = line.len() - line.trim_start().len();
        let body = line.trim_start().strip_prefix("# ").unwrap_or("");
        // A sentence is not a key: keys have no blank before their `:`, and list items no capital.
        let key = body.trim_start().split(':').next().unwrap_or("");
        let is_live = (body.contains(':') && !key.contains(' ') && !key.is_empty())
            || body.trim_start().starts_with("- ")
            || body.trim_start().starts_with('[')
            || body.trim_start().contains("=");
        if is_live && !body.ends_with(':') || (is_live && body.trim_end().ends_with(':') && !key.contains(' ')) {
            switched += 1;
            let body = body.replace("AAAA... you@laptop", crate::common::KEY_BLOB);
            lines.push(format!("{}{body}", " ".repeat(indent)));
        } else {
            lines.push(line.to_owned());
        }
    }
    let text = lines.join("\n");
    assert!(switched > 30, "{text}");
    let checked = crate::common::check(&text).unwrap_or_else(|problems| panic!("{text}\n{problems}"));
    assert_eq!(checked.warnings, []);
    assert_eq!(checked.machine.boot.timeout, 3);
    assert_eq!(checked.machine.users["admin"].ssh_authorized_keys.len(), 1);
    assert!(checked.machine.services.units.contains_key("hello.service"));
}
