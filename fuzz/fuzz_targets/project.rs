//! Any text is a project, or is refused at places that are in it; what is sound makes plans that read themselves.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_core::Plan;
use quorate_project::{Graph, Look, Project, Source};

const AGENTS: &str = "agents:\n  reader: { use: std.echo, capabilities: [read], output: { score: confidence, \"text?\": text } }\n";

fuzz_target!(|text: &str| {
    let files = ["quorate.yaml", "agents/a.yaml", "workflows/w.yaml"].map(|path| {
        let own = match path {
            "quorate.yaml" => "name: fuzz\ngroups: { leads: [ann] }\n",
            "agents/a.yaml" => AGENTS,
            _ => text,
        };
        Source::new(path, own)
    });
    let checked = Project::read(files.to_vec(), &["std.echo", "std.set"]);
    for diagnostic in checked.diagnostics.iter().take(20) {
        let file = &checked.files[diagnostic.file];
        for span in diagnostic.span.iter().chain(diagnostic.notes.iter().map(|(span, _)| span)) {
            let inside = file.text.get(span.start as usize..span.end as usize);
            assert!(inside.is_some(), "{} is at {span:?} of {:?}", diagnostic.code, file.text);
        }
        assert!(!diagnostic.render(&checked.files, &Look { color: false, width: 80 }).is_empty());
    }
    for workflow in checked.project.workflows.values() {
        let again = Plan::read(workflow.plan.source()).expect("a plan reads what it is written as");
        assert_eq!(again.digest(), workflow.plan.digest());
        let graph = Graph::of(&workflow.plan, None);
        if graph.len() < 50 {
            assert!(!graph.ascii(80).is_empty() && !graph.svg().is_empty() && !graph.mermaid().is_empty() && !graph.dot().is_empty());
        }
        assert!(!graph.summary().is_empty());
    }
});
