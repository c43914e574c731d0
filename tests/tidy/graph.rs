//! Which file of a room uses which: edges from paths (`use` trees and paths in code), re-exports followed to the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};

/// A module's path below `src`, such as `["store", "job", "claim"]`. A folder's `mod.rs` has the path of the folder.
pub type Module = Vec<String>;

/// The product code of a crate, by module.
pub struct Crate {
    code: BTreeMap<Module, String>,
    /// What a module re-exports: its name there, and the path where it is from.
    exports: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
}

impl Crate {
    /// Reads the modules of a crate from the text of its files. Files of tests are left out, and so are inline modules of tests.
    pub fn new(files: impl IntoIterator<Item = (Module, String)>) -> Self {
        let code: BTreeMap<Module, String> = files.into_iter().map(|(module, text)| (module, product_code(&text))).collect();
        let mut exports = BTreeMap::new();
        for (module, text) in &code {
            let named = uses(text).into_iter().filter(|(public, _, _)| *public);
            let named = named.map(|(_, path, name)| (name, path)).collect();
            exports.insert(module.clone(), named);
        }
        Self { code, exports }
    }

    /// Returns, for each module of a room, the modules of that room that it uses.
    pub fn edges(&self, room: &str) -> BTreeMap<Module, BTreeSet<Module>> {
        let in_room = |module: &&Module| module[0] == room;
        self.code.keys().filter(in_room).map(|module| (module.clone(), self.used_by(module, room))).collect()
    }

    fn used_by(&self, module: &Module, room: &str) -> BTreeSet<Module> {
        let text = &self.code[module];
        let mut paths: Vec<Vec<String>> =
            uses(text).into_iter().filter(|(public, _, _)| !public).map(|(_, path, _)| path).collect();
        paths.extend(paths_in_code(text));
        let found = paths.iter().filter_map(|path| self.resolve(module, path, 8));
        found.filter(|other| other != module && other[0] == room).collect()
    }

    /// Returns the module that a path names an item of. `None` for another crate's.
    fn resolve(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Vec::new(),
            "super" => from[..from.len() - 1].to_vec(),
            "self" => from.clone(),
            name if self.is_module(from, name) => from.clone(),
            _ => return None,
        };
        let skip = usize::from(matches!(path[0].as_str(), "crate" | "super" | "self"));
        let mut rest = &path[skip..];
        while let Some((name, after)) = rest.split_first() {
            if name == "super" {
                at.pop();
            } else if self.is_module(&at, name) {
                at.push(name.clone());
            } else {
                let target = self.exports.get(&at).and_then(|names| names.get(name));
                let Some(target) = target.filter(|_| depth > 0) else { break };
                let all: Vec<String> = target.iter().chain(after).cloned().collect();
                return self.resolve(&at, &all, depth - 1);
            }
            rest = after;
        }
        if at.is_empty() { None } else { Some(at) }
    }

    fn is_module(&self, parent: &[String], name: &str) -> bool {
        let mut path = parent.to_vec();
        path.push(name.to_owned());
        self.code.contains_key(&path)
    }
}

/// Cuts comments, strings and inline modules of tests.
fn product_code(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("mod ") && line.ends_with('{') {
            lines.by_ref().take_while(|line| *line != "}").for_each(drop);
            continue;
        }
        let line = line.split("//").next().unwrap_or_default();
        for (n, part) in line.split('"').enumerate() {
            code.push_str(if n % 2 == 0 { part } else { "\"\"" });
        }
        code.push('\n');
    }
    code
}

/// Returns the leaves of all `use` declarations: whether it is public, its path, and the name that it has here.
fn uses(code: &str) -> Vec<(bool, Vec<String>, String)> {
    let mut all = Vec::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use ").filter(|at| is_declaration(&statement[..*at])) else { continue };
        let public = statement[..at].contains("pub");
        let mut leaves = Vec::new();
        walk(&mut Vec::new(), statement[at + 4..].trim(), &mut leaves);
        for (path, name) in leaves {
            all.push((public, path, name));
        }
    }
    all
}

/// A `use` stands at the begin of a line, after attributes and a visibility.
fn is_declaration(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or_default().trim();
    line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'))
}

/// Takes a `use` tree apart.
fn walk(prefix: &mut Vec<String>, tree: &str, leaves: &mut Vec<(Vec<String>, String)>) {
    let tree = tree.trim();
    if let Some(open) = tree.find('{') {
        let before = tree[..open].trim_end_matches("::").trim();
        let length = prefix.len();
        prefix.extend(before.split("::").filter(|part| !part.is_empty()).map(|part| part.trim().to_owned()));
        let inner = tree[open + 1..].rsplit_once('}').map_or("", |(inner, _)| inner);
        for part in split_at_commas(inner) {
            walk(prefix, part, leaves);
        }
        prefix.truncate(length);
        return;
    }
    if tree.is_empty() {
        return;
    }
    let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias.trim().to_owned())));
    let mut full = prefix.clone();
    full.extend(path.split("::").map(|part| part.trim().to_owned()));
    if full.last().is_some_and(|last| last == "self" && full.len() > 1) {
        full.pop();
    }
    let name = alias.unwrap_or_else(|| full.last().cloned().unwrap_or_default());
    leaves.push((full, name));
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut from, mut parts) = (0, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

/// Returns the paths that begin with `crate` or `super`, wherever they stand.
fn paths_in_code(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            let is_visibility = code[..at].ends_with("(in ");
            if is_visibility || before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let path: String = code[at..].chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect();
            let path: Vec<String> = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if path.len() > 1 {
                paths.push(path);
            }
        }
    }
    paths
}

/// Returns the groups of modules that use each other in a circle, each group once.
pub fn cycles(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<BTreeSet<Module>> {
    let reach = |from: &Module| {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Module> = edges[from].iter().collect();
        while let Some(next) = open.pop() {
            if found.insert(next.clone()) {
                open.extend(edges.get(next).into_iter().flatten());
            }
        }
        found
    };
    let reached: BTreeMap<&Module, BTreeSet<Module>> = edges.keys().map(|module| (module, reach(module))).collect();
    let mut groups: Vec<BTreeSet<Module>> = Vec::new();
    for (module, others) in &reached {
        if others.contains(*module) && !groups.iter().any(|group| group.contains(*module)) {
            groups.push(others.iter().filter(|other| reached[other].contains(*module)).cloned().collect());
        }
    }
    groups
}
