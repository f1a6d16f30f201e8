//! Any text is a project, or is refused at places that are in it; what is sound makes plans that read themselves.
//!
//! The first line that begins with one of these says what it is taken for: `agents:` for a file of agents, `routes:` for the
//! rest of quorate.yaml, `---` for a skill, `policies:`, `classify:` or `profile:` for policies; all else is workflows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use quorate_core::{Payload, Plan};
use quorate_project::{Graph, Look, Project, Source};

const AGENTS: &str = "agents:\n  reader: { use: std.echo, capabilities: [read], output: { score: confidence, \"text?\": text } }\n";
const SKILL: &str = "---\nname: s\ndescription: Knows how to read.\n---\nRead it twice.\n";
const WORKFLOW: &str = "workflows:\n  w: { tasks: [{ id: t, capabilities: [read], required_skills: [s] }] }\n";

fuzz_target!(|text: &str| {
    const KINDS: [&str; 6] = ["agents:", "routes:", "---", "policies:", "classify:", "profile:"];
    let kind = text.lines().find_map(|line| KINDS.into_iter().find(|kind| line.starts_with(kind)));
    let policies = matches!(kind, Some("policies:" | "classify:" | "profile:"));
    let top = if kind == Some("routes:") { text } else { "" };
    let files = [
        Source::new("quorate.yaml", &format!("name: fuzz\ngroups: {{ leads: [ann] }}\nskills: [skills]\n{top}")),
        Source::new("agents/a.yaml", if kind == Some("agents:") { text } else { AGENTS }),
        Source::new("workflows/w.yaml", if kind.is_none() { text } else { WORKFLOW }),
        Source::new("policies/p.yaml", if policies { text } else { "" }),
        Source::new("skills/s/SKILL.md", if kind == Some("---") { text } else { SKILL }),
    ];
    let checked = Project::read(files.to_vec(), &["std.echo", "std.set"]);
    for diagnostic in checked.diagnostics.iter().take(20) {
        let file = &checked.files[diagnostic.file];
        for span in diagnostic.span.iter().chain(diagnostic.notes.iter().map(|(span, _)| span)) {
            let inside = file.text.get(span.start as usize..span.end as usize);
            assert!(inside.is_some(), "{} is at {span:?} of {:?}", diagnostic.code, file.text);
        }
        assert!(!diagnostic.render(&checked.files, &Look { color: false, width: 80 }).is_empty());
    }
    let project = &checked.project;
    if checked.is_sound() && !project.policies.is_empty() {
        assert!(project.lint(500).iter().all(|problem| !problem.is_error()));
        let work = Payload::parse(r#"{"break_type": "A", "amount": 5}"#.to_owned()).expect("this is JSON");
        let classified = project.classifier.classify(&work);
        assert!(classified.profile.check(&project.classifier.profile()).is_ok());
        assert!(project.policies.plan(&project.policies.pick(&work, &classified)).is_some());
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
