//! Plans as pictures: laid out in layers, and drawn for a terminal, for Mermaid, for Graphviz and as SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use quorate_core::draft::WorkDraft;
use quorate_core::{Draft, Plan, Role, Run, TaskStatus, TaskView};
use serde_json::json;

/// More tasks than this are summed up where nobody asks for all of them.
pub const MAX_DRAWN: usize = 150;
/// Most sweeps over the layers that look for fewer crossings.
const SWEEPS: usize = 8;
/// More nodes and turns of edges than this are drawn in the order of the plan.
const MAX_SORTED: usize = 20_000;

/// A plan to be drawn, and how the tasks of a run of it stand.
#[derive(Debug)]
pub struct Graph {
    name: String,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
}

#[derive(Debug)]
struct Node {
    id: String,
    /// Who does it, in a word or two.
    by: String,
    role: Role,
    conditional: bool,
    status: Option<TaskStatus>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    /// One comes before the other.
    Before,
    /// One undoes the other.
    Undoes,
    /// The section begins again.
    Again,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    from: usize,
    to: usize,
    line: Line,
}

impl Graph {
    /// The graph of a plan; with a run of it, of what became of its tasks as well.
    #[must_use]
    pub fn of(plan: &Plan, run: Option<&Run>) -> Graph {
        let draft = plan.draft();
        let position: BTreeMap<&str, usize> = draft.tasks.iter().enumerate().map(|(position, task)| (task.id.as_str(), position)).collect();
        let mut edges = Vec::new();
        let mut nodes = Vec::with_capacity(draft.tasks.len());
        for (here, task) in draft.tasks.iter().enumerate() {
            let by = match &task.work {
                WorkDraft::Agent { id: Some(agent), .. } => agent.clone(),
                WorkDraft::Agent { capabilities, .. } => capabilities.join("+"),
                WorkDraft::Approval(_) => "approval".to_owned(),
                WorkDraft::Wait(_) => "wait".to_owned(),
                WorkDraft::Workflow { .. } => "workflow".to_owned(),
            };
            let by = if task.for_each.is_some() { format!("{by} for each") } else { by };
            let status = run.and_then(|run| run.task(&task.id)).map(quorate_core::TaskView::status);
            nodes.push(Node {
                id: task.id.clone(),
                by,
                role: task.role,
                conditional: task.when.is_some() || task.skip_when.is_some(),
                status,
            });
            edges.extend(task.depends_on.iter().map(|dep| Edge { from: position[dep.as_str()], to: here, line: Line::Before }));
            if let Some(undo) = task.compensate.as_deref().and_then(|undo| position.get(undo)) {
                edges.push(Edge { from: here, to: *undo, line: Line::Undoes });
            }
            if let Some(from) = task.repeat.as_ref().and_then(|repeat| position.get(repeat.from.as_str())) {
                edges.push(Edge { from: here, to: *from, line: Line::Again });
            }
        }
        if let Some(run) = run {
            let mut graph = Graph { name: plan.name().to_string(), nodes, edges };
            graph.add_grown(run, &draft, &position);
            return graph;
        }
        Graph { name: plan.name().to_string(), nodes, edges }
    }

    /// Adds what was not there at the start: items hang on their task, and lead to what comes after it; a later turn of a
    /// section follows the one before.
    fn add_grown(&mut self, run: &Run, draft: &Draft, position: &BTreeMap<&str, usize>) {
        let grown: Vec<TaskView<'_>> = run.tasks().filter(|task| task.grown() && !position.contains_key(task.id())).collect();
        let mut places: BTreeMap<String, usize> = position.iter().map(|(id, at)| ((*id).to_owned(), *at)).collect();
        for task in &grown {
            places.insert(task.id().to_owned(), self.nodes.len());
            let by = task.agent().map(|agent| agent.id.to_string()).unwrap_or_default();
            self.nodes.push(Node { id: task.id().to_owned(), by, role: task.role(), conditional: false, status: Some(task.status()) });
        }
        let before = |from: usize, to: usize| Edge { from, to, line: Line::Before };
        for task in &grown {
            let (here, plan_id) = (places[task.id()], task.plan_id());
            let Some(origin) = position.get(plan_id).copied() else { continue };
            let turn = task.id().strip_prefix(plan_id).and_then(|rest| rest.strip_prefix('#')).and_then(|turn| turn.parse::<u32>().ok());
            let Some(turn) = turn else {
                let after = draft.tasks.iter().enumerate().filter(|(_, next)| next.depends_on.iter().any(|dep| dep == plan_id));
                self.edges.extend(after.map(|(next, _)| before(here, next)));
                self.edges.push(before(origin, here));
                continue;
            };
            let name = |id: &str, turn: u32| if turn == 1 { id.to_owned() } else { format!("{id}#{turn}") };
            let inside: Vec<usize> =
                draft.tasks[origin].depends_on.iter().filter_map(|dep| places.get(&name(dep, turn)).copied()).collect();
            if inside.is_empty() {
                // It begins the section again, after its end in the turn before.
                let ends = draft.tasks.iter().filter(|task| task.repeat.as_ref().is_some_and(|repeat| repeat.from == plan_id));
                self.edges.extend(ends.filter_map(|end| places.get(&name(&end.id, turn - 1)).copied()).map(|end| before(end, here)));
            }
            self.edges.extend(inside.into_iter().map(|dep| before(dep, here)));
            if draft.tasks[origin].repeat.is_some() && !places.contains_key(&name(plan_id, turn + 1)) {
                let after = draft.tasks.iter().enumerate().filter(|(_, next)| next.depends_on.iter().any(|dep| dep == plan_id));
                self.edges.extend(after.map(|(next, _)| before(here, next)));
            }
        }
    }

    /// How many tasks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many tasks the longest way through it has.
    #[must_use]
    pub fn stage_count(&self) -> usize {
        self.layers().iter().max().map_or(0, |last| last + 1)
    }

    /// The tasks as a list to be ticked off, in Markdown.
    #[must_use]
    pub fn todo(&self) -> String {
        let mut stages: Vec<(usize, &Node)> = self.layers().into_iter().zip(&self.nodes).collect();
        stages.sort_by_key(|(stage, _)| *stage);
        let mut text = format!("## {}\n\n", self.name);
        for (_, node) in stages {
            let done = if node.status == Some(TaskStatus::Succeeded) { 'x' } else { ' ' };
            let stands = match node.status {
                None | Some(TaskStatus::Succeeded | TaskStatus::Waiting) => String::new(),
                Some(status) => format!(" ({status})"),
            };
            let _ = writeln!(text, "- [{done}] {}{stands}", node.id);
        }
        text
    }

    /// The graph in a few lines: how many stages there are, and how many tasks in each.
    #[must_use]
    pub fn summary(&self) -> String {
        const SHOWN: usize = 12;
        let layers = self.layers();
        let count = layers.iter().max().map_or(0, |last| last + 1);
        let mut sizes = vec![0; count];
        for layer in &layers {
            sizes[*layer] += 1;
        }
        let mut text = format!("{}: {} tasks in {count} stages, {} dependencies\n", self.name, self.nodes.len(), self.edges.len());
        for (stage, size) in sizes.iter().enumerate().take(SHOWN) {
            let first = layers.iter().position(|layer| *layer == stage).map_or("", |ix| self.nodes[ix].id.as_str());
            let more = if *size > 1 { format!(" and {} more", size - 1) } else { String::new() };
            let _ = writeln!(text, "  stage {}: {first}{more}", stage + 1);
        }
        if count > SHOWN {
            let _ = writeln!(text, "  … and {} more stages", count - SHOWN);
        }
        text
    }

    /// The graph for programs: tasks with the stage that they are in, and what leads from one to another.
    #[must_use]
    pub fn json(&self) -> String {
        let stages = self.layers();
        let tasks = self.nodes.iter().zip(stages).map(|(node, stage)| {
            json!({
                "id": node.id, "by": node.by, "role": node.role, "conditional": node.conditional, "status": node.status, "stage": stage + 1,
            })
        });
        let edges = self.edges.iter().map(|edge| {
            let kind = match edge.line {
                Line::Before => "before",
                Line::Undoes => "undoes",
                Line::Again => "again",
            };
            json!({ "from": self.nodes[edge.from].id, "to": self.nodes[edge.to].id, "kind": kind })
        });
        let (tasks, edges): (Vec<_>, Vec<_>) = (tasks.collect(), edges.collect());
        json!({ "schema": "quorate.graph/1", "target": self.name, "tasks": tasks, "edges": edges }).to_string()
    }

    /// For each node the stage that it stands in. What belongs to the end stands behind all else.
    fn layers(&self) -> Vec<usize> {
        let at_end = |node: &Node| matches!(node.role, Role::Finally | Role::Review);
        let first = self.longest_ways(vec![0; self.nodes.len()]);
        let main = self.nodes.iter().zip(&first).filter(|(node, _)| !at_end(node));
        let Some(deepest) = main.map(|(_, layer)| *layer).max() else { return first };
        self.longest_ways(self.nodes.iter().map(|node| if at_end(node) { deepest + 1 } else { 0 }).collect())
    }

    /// For each node the length of the longest way to it, where some begin further down.
    fn longest_ways(&self, begin: Vec<usize>) -> Vec<usize> {
        let mut layers = begin;
        let mut open = vec![0; self.nodes.len()];
        let mut next = vec![Vec::new(); self.nodes.len()];
        for edge in self.edges.iter().filter(|edge| edge.line != Line::Again) {
            open[edge.to] += 1;
            next[edge.from].push(edge.to);
        }
        let mut free: Vec<usize> = (0..open.len()).filter(|ix| open[*ix] == 0).collect();
        while let Some(ix) = free.pop() {
            for to in &next[ix] {
                layers[*to] = layers[*to].max(layers[ix] + 1);
                open[*to] -= 1;
                if open[*to] == 0 {
                    free.push(*to);
                }
            }
        }
        layers
    }

    fn label(&self, ix: usize) -> String {
        let node = &self.nodes[ix];
        let mark = node.status.map_or("", |status| match status {
            TaskStatus::Succeeded => "✓ ",
            TaskStatus::Failed => "✗ ",
            TaskStatus::TimedOut => "⧖ ",
            TaskStatus::Skipped => "– ",
            TaskStatus::Cancelled => "□ ",
            TaskStatus::Running => "● ",
            TaskStatus::Asking => "? ",
            TaskStatus::Retrying => "↻ ",
            TaskStatus::Sleeping => "⏲ ",
            TaskStatus::Waiting | TaskStatus::Ready => "· ",
        });
        let condition = if node.conditional { "◇ " } else { "" };
        format!("{mark}{condition}{}", node.id)
    }

    /// The graph for a terminal of so many columns. Where it does not fit, it is told stage by stage.
    #[must_use]
    pub fn ascii(&self, width: usize) -> String {
        let labels: Vec<String> = (0..self.nodes.len()).map(|ix| self.label(ix)).collect();
        // Odd all of them, the gaps too: then every layer has a middle, and lines that could be straight are.
        let widths = labels.iter().map(|label| (label.chars().count() + 4) | 1).collect();
        let laid = Laid::out(self, widths, 3, 1);
        let mut text = if laid.width > width { self.stages(&laid, width) } else { draw(&laid, &labels) };
        for edge in self.edges.iter().filter(|edge| edge.line == Line::Again) {
            let _ = writeln!(text, "{} … {} may run again", self.nodes[edge.to].id, self.nodes[edge.from].id);
        }
        for edge in self.edges.iter().filter(|edge| edge.line == Line::Undoes) {
            let _ = writeln!(text, "{} undoes {}", self.nodes[edge.to].id, self.nodes[edge.from].id);
        }
        text
    }

    fn stages(&self, laid: &Laid, width: usize) -> String {
        let mut text = String::new();
        for (stage, layer) in laid.layers.iter().enumerate() {
            for slot in layer.iter().filter(|slot| slot.edge.is_none()) {
                let before = self.edges.iter().filter(|edge| edge.to == slot.node && edge.line == Line::Before);
                let names: Vec<&str> = before.map(|edge| self.nodes[edge.from].id.as_str()).collect();
                let after = if names.is_empty() { String::new() } else { format!("  after {}", names.join(", ")) };
                let line = format!("{:>4}  {}{after}", stage + 1, self.label(slot.node));
                let line: String = if line.chars().count() > width { line.chars().take(width - 1).chain(['…']).collect() } else { line };
                let _ = writeln!(text, "{line}");
            }
        }
        text
    }

    /// The graph for Mermaid.
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut text = String::from("flowchart TD\n");
        for (ix, node) in self.nodes.iter().enumerate() {
            let label = quoted(&format!("{}<br/>{}", self.label(ix), node.by));
            let (open, close) = match node.by.as_str() {
                "approval" => ("{{", "}}"),
                "wait" => ("([", "])"),
                "workflow" => ("[[", "]]"),
                _ => ("[", "]"),
            };
            let _ = writeln!(text, "    n{ix}{open}{label}{close}");
        }
        for edge in &self.edges {
            let arrow = match edge.line {
                Line::Before if self.nodes[edge.to].conditional => "-->|when|",
                Line::Before => "-->",
                Line::Undoes => "-.->|undone by|",
                Line::Again => "-.->|again|",
            };
            let _ = writeln!(text, "    n{} {arrow} n{}", edge.from, edge.to);
        }
        text
    }

    /// The graph for Graphviz.
    #[must_use]
    pub fn dot(&self) -> String {
        let mut text = format!("digraph {} {{\n    node [shape=box, style=rounded, fontname=\"sans-serif\"];\n", quoted(&self.name));
        for (ix, node) in self.nodes.iter().enumerate() {
            let label = quoted(&format!("{}\n{}", self.label(ix), node.by)).replace('\n', "\\n");
            let dashed = if node.role == Role::Main { "" } else { ", style=\"rounded,dashed\"" };
            let _ = writeln!(text, "    n{ix} [label={label}{dashed}];");
        }
        for edge in &self.edges {
            let style = match edge.line {
                Line::Before => "",
                Line::Undoes => " [style=dashed, label=\"undone by\"]",
                Line::Again => " [style=dotted, label=\"again\", constraint=false]",
            };
            let _ = writeln!(text, "    n{} -> n{}{style};", edge.from, edge.to);
        }
        text.push_str("}\n");
        text
    }

    /// The graph as a picture of its own.
    #[must_use]
    pub fn svg(&self) -> String {
        const HEIGHT: usize = 44;
        const GAP: usize = 40;
        let widths =
            self.nodes.iter().enumerate().map(|(ix, node)| 32 + 8 * self.label(ix).chars().count().max(node.by.chars().count())).collect();
        let laid = Laid::out(self, widths, 24, 12);
        let rows = laid.layers.len();
        let (width, height) = (laid.width + 32, rows * (HEIGHT + GAP) + 16);
        let top = |layer: usize| 16 + layer * (HEIGHT + GAP);
        let mut text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Inter, system-ui, sans-serif\" font-size=\"13\">\n<title>{}</title>\n",
            escaped(&self.name)
        );
        for (edge, points) in &laid.ways {
            let mut path = String::new();
            for (step, (layer, x)) in points.iter().enumerate() {
                let (x, y) = (x + 16, top(*layer) + if step == 0 { HEIGHT } else { 0 });
                let turn = y.saturating_sub(GAP / 2);
                let _ = match step {
                    0 => write!(path, "M{x} {y}"),
                    _ => {
                        let (before, last) = (points[step - 1].1 + 16, step + 1 == points.len());
                        let down = if last { String::new() } else { format!(" V{}", y + HEIGHT) };
                        write!(path, " C{before} {turn} {x} {turn} {x} {y}{down}")
                    }
                };
            }
            let dashed = if self.edges[*edge].line == Line::Before { "" } else { " stroke-dasharray=\"4 3\"" };
            let _ = writeln!(text, "<path d=\"{path}\" fill=\"none\" stroke=\"#8b95a3\"{dashed}/>");
        }
        for (layer, slots) in laid.layers.iter().enumerate() {
            for slot in slots.iter().filter(|slot| slot.edge.is_none()) {
                let node = &self.nodes[slot.node];
                let (x, y) = (slot.center - slot.width / 2 + 16, top(layer));
                let color = node.status.map_or("#46658c", color_of);
                let dashed =
                    if node.role == Role::Main && node.status != Some(TaskStatus::Skipped) { "" } else { " stroke-dasharray=\"4 3\"" };
                let _ = writeln!(
                    text,
                    "<g><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{HEIGHT}\" rx=\"7\" fill=\"#ffffff\" stroke=\"{color}\"{dashed}/>\
                     <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"#12161c\">{}</text>\
                     <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#4a5565\">{}</text></g>",
                    slot.width,
                    slot.center + 16,
                    y + 19,
                    escaped(&self.label(slot.node)),
                    slot.center + 16,
                    y + 35,
                    escaped(&node.by),
                );
            }
        }
        text.push_str("</svg>\n");
        text
    }
}

fn color_of(status: TaskStatus) -> &'static str {
    match status {
        TaskStatus::Succeeded => "#146c43",
        TaskStatus::Failed | TaskStatus::TimedOut => "#bf1f2b",
        TaskStatus::Running => "#0b57d0",
        TaskStatus::Retrying => "#9a4b00",
        TaskStatus::Asking | TaskStatus::Sleeping => "#6e3bd1",
        TaskStatus::Cancelled => "#7a4a4a",
        TaskStatus::Skipped | TaskStatus::Waiting | TaskStatus::Ready => "#596472",
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "'"))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Graph {
    /// Edges that say what others say already: whoever comes after the last of several comes after all of them. A task that hears
    /// everybody before it would else be drawn as a knot.
    fn implied(&self) -> BTreeSet<usize> {
        let mut implied = BTreeSet::new();
        if self.nodes.len() > MAX_DRAWN {
            return implied;
        }
        let mut before: Vec<Vec<(usize, usize)>> = vec![Vec::new(); self.nodes.len()];
        for (ix, edge) in self.edges.iter().enumerate().filter(|(_, edge)| edge.line == Line::Before) {
            before[edge.to].push((ix, edge.from));
        }
        for direct in before.iter().filter(|direct| direct.len() > 1) {
            let mut farther = BTreeSet::new();
            let mut open: Vec<usize> = direct.iter().map(|(_, from)| *from).collect();
            while let Some(at) = open.pop() {
                open.extend(before[at].iter().map(|(_, from)| *from).filter(|from| farther.insert(*from)));
            }
            implied.extend(direct.iter().filter(|(_, from)| farther.contains(from)).map(|(ix, _)| *ix));
        }
        implied
    }
}

/// A place in a layer: a node, or an edge on its way through.
#[derive(Clone, Debug)]
struct Slot {
    node: usize,
    /// The edge that passes here, where it is none of a node.
    edge: Option<usize>,
    width: usize,
    center: usize,
}

/// A graph in layers, from top to bottom.
struct Laid {
    layers: Vec<Vec<Slot>>,
    width: usize,
    /// For each edge that is drawn, the layers and places that it goes through.
    ways: Vec<(usize, Vec<(usize, usize)>)>,
}

impl Laid {
    /// Lays a graph out: nodes of these widths, so far apart, and edges that pass of that width.
    fn out(graph: &Graph, widths: Vec<usize>, gap: usize, passing: usize) -> Laid {
        let layer_of = graph.layers();
        let rows = layer_of.iter().max().map_or(0, |last| last + 1);
        let mut layers: Vec<Vec<Slot>> = vec![Vec::new(); rows];
        for (node, width) in widths.into_iter().enumerate() {
            layers[layer_of[node]].push(Slot { node, edge: None, width, center: 0 });
        }
        let implied = graph.implied();
        let is_drawn = |(ix, edge): &(usize, &Edge)| edge.line == Line::Undoes || (edge.line == Line::Before && !implied.contains(ix));
        let drawn = graph.edges.iter().enumerate().filter(is_drawn);
        let drawn: Vec<(usize, Edge)> = drawn.map(|(ix, edge)| (ix, *edge)).collect();
        for (ix, edge) in &drawn {
            for layer in layers.iter_mut().take(layer_of[edge.to]).skip(layer_of[edge.from] + 1) {
                layer.push(Slot { node: edge.to, edge: Some(*ix), width: passing, center: 0 });
            }
        }
        let mut laid = Laid { layers, width: 0, ways: Vec::new() };
        let links = laid.links(&drawn, &layer_of);
        if laid.layers.iter().map(Vec::len).sum::<usize>() <= MAX_SORTED {
            laid.sort(&links);
        }
        laid.place(gap);
        laid.find_ways(&drawn, &layer_of);
        laid
    }

    /// For each slot of each layer, the slots of the layer above that it hangs on; slots by what they are.
    fn links(&self, drawn: &[(usize, Edge)], layer_of: &[usize]) -> BTreeMap<(usize, Key), Vec<Key>> {
        let mut links: BTreeMap<(usize, Key), Vec<Key>> = BTreeMap::new();
        for (ix, edge) in drawn {
            let (from, to) = (layer_of[edge.from], layer_of[edge.to]);
            let mut above = Key::Node(edge.from);
            for layer in from + 1..=to {
                let here = if layer == to { Key::Node(edge.to) } else { Key::Edge(*ix) };
                links.entry((layer, here)).or_default().push(above);
                above = here;
            }
        }
        links
    }

    /// Moves slots towards the middle of what they hang together with, down and up again.
    fn sort(&mut self, links: &BTreeMap<(usize, Key), Vec<Key>>) {
        let mut below: BTreeMap<(usize, Key), Vec<Key>> = BTreeMap::new();
        for ((layer, key), above) in links {
            for up in above {
                below.entry((layer - 1, *up)).or_default().push(*key);
            }
        }
        for sweep in 0..SWEEPS {
            let down = sweep % 2 == 0;
            let rows = self.layers.len();
            let order: Vec<usize> = if down { (1..rows).collect() } else { (0..rows.saturating_sub(1)).rev().collect() };
            for layer in order {
                let neighbours = if down { layer - 1 } else { layer + 1 };
                let position: BTreeMap<Key, usize> =
                    self.layers[neighbours].iter().enumerate().map(|(at, slot)| (slot.key(), at)).collect();
                let linked = if down { links } else { &below };
                let mut weighed: Vec<(usize, Slot)> = self.layers[layer]
                    .iter()
                    .enumerate()
                    .map(|(at, slot)| {
                        let near = linked.get(&(layer, slot.key())).map(Vec::as_slice).unwrap_or_default();
                        let sum: usize = near.iter().filter_map(|key| position.get(key)).sum();
                        // Whole numbers: the same graph is drawn the same everywhere.
                        let weight = if near.is_empty() { at * 1_000 } else { sum * 1_000 / near.len() };
                        (weight, slot.clone())
                    })
                    .collect();
                weighed.sort_by_key(|(weight, _)| *weight);
                self.layers[layer] = weighed.into_iter().map(|(_, slot)| slot).collect();
            }
        }
    }

    /// Gives every slot its place: side by side, each layer in the middle.
    fn place(&mut self, gap: usize) {
        let width_of = |layer: &[Slot]| layer.iter().map(|slot| slot.width).sum::<usize>() + gap * layer.len().saturating_sub(1);
        self.width = self.layers.iter().map(|layer| width_of(layer)).max().unwrap_or(0);
        for layer in &mut self.layers {
            let mut left = (self.width - width_of(layer)) / 2;
            for slot in layer.iter_mut() {
                slot.center = left + slot.width / 2;
                left += slot.width + gap;
            }
        }
    }

    fn find_ways(&mut self, drawn: &[(usize, Edge)], layer_of: &[usize]) {
        let places: Vec<BTreeMap<Key, usize>> =
            self.layers.iter().map(|layer| layer.iter().map(|slot| (slot.key(), slot.center)).collect()).collect();
        let way = |(ix, edge): &(usize, Edge)| {
            let (from, to) = (layer_of[edge.from], layer_of[edge.to]);
            let points = (from..=to).map(|layer| {
                let key = match layer {
                    layer if layer == from => Key::Node(edge.from),
                    layer if layer == to => Key::Node(edge.to),
                    _ => Key::Edge(*ix),
                };
                (layer, places[layer][&key])
            });
            (*ix, points.collect())
        };
        self.ways = drawn.iter().map(way).collect();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Node(usize),
    Edge(usize),
}

impl Slot {
    fn key(&self) -> Key {
        self.edge.map_or(Key::Node(self.node), Key::Edge)
    }
}

/// A picture made of characters. Where lines of one net meet they are joined; lines of two nets pass each other.
#[derive(Default)]
struct Canvas {
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Default)]
struct Cell {
    text: Option<char>,
    /// Ends of lines, by net.
    lines: Vec<(usize, u8)>,
}

const UP: u8 = 1;
const DOWN: u8 = 2;
const LEFT: u8 = 4;
const RIGHT: u8 = 8;

/// The character for each set of ends.
const LINES: [char; 16] = [' ', '│', '│', '│', '─', '┘', '┐', '┤', '─', '└', '┌', '├', '─', '┴', '┬', '┼'];

impl Cell {
    fn show(&self) -> char {
        if let Some(text) = self.text {
            return text;
        }
        // Where one net passes another, the one that goes down is seen.
        let passes = |ends: &u8| *ends == UP | DOWN;
        if self.lines.len() > 1 && self.lines.iter().any(|(_, ends)| passes(ends)) {
            return '│';
        }
        LINES[usize::from(self.lines.iter().fold(0, |all, (_, ends)| all | ends))]
    }
}

impl Canvas {
    fn cell(&mut self, row: usize, column: usize) -> &mut Cell {
        if self.rows.len() <= row {
            self.rows.resize(row + 1, Vec::new());
        }
        let cells = &mut self.rows[row];
        if cells.len() <= column {
            cells.resize(column + 1, Cell::default());
        }
        &mut cells[column]
    }

    fn put(&mut self, row: usize, column: usize, net: usize, ends: u8) {
        let lines = &mut self.cell(row, column).lines;
        match lines.iter_mut().find(|(known, _)| *known == net) {
            Some((_, known)) => *known |= ends,
            None => lines.push((net, ends)),
        }
    }

    fn write(&mut self, row: usize, column: usize, text: &str) {
        for (offset, next) in text.chars().enumerate() {
            self.cell(row, column + offset).text = Some(next);
        }
    }

    fn text(&self) -> String {
        let line = |row: &Vec<Cell>| row.iter().map(Cell::show).collect::<String>().trim_end().to_owned() + "\n";
        self.rows.iter().map(line).collect()
    }
}

fn draw(laid: &Laid, labels: &[String]) -> String {
    let mut canvas = Canvas::default();
    let mut row = 0;
    for (layer, slots) in laid.layers.iter().enumerate() {
        for slot in slots {
            if slot.edge.is_some() {
                canvas.put(row, slot.center, 0, UP | DOWN);
                continue;
            }
            let left = slot.center - slot.width / 2;
            let padded = format!("{:<1$}", labels[slot.node], slot.width - 4);
            canvas.write(row, left, &format!("[ {padded} ]"));
        }
        row = draw_between(laid, layer, row + 1, &mut canvas);
    }
    canvas.text()
}

/// Draws the edges from a layer to the next. Everything that leads from some places to the same others is one net, on one
/// track.
fn draw_between(laid: &Laid, layer: usize, first: usize, canvas: &mut Canvas) -> usize {
    let mut leaving: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (_, points) in &laid.ways {
        for pair in points.windows(2).filter(|pair| pair[0].0 == layer) {
            leaving.entry(pair[0].1).or_default().insert(pair[1].1);
        }
    }
    if leaving.is_empty() {
        return first;
    }
    let mut nets: BTreeMap<BTreeSet<usize>, Vec<usize>> = BTreeMap::new();
    for (from, to) in leaving {
        nets.entry(to).or_default().push(from);
    }
    let straight = |to: &BTreeSet<usize>, from: &[usize]| from.len() == 1 && to.len() == 1 && to.contains(&from[0]);
    let bent = nets.iter().filter(|(to, from)| !straight(to, from)).count();
    let last = first + bent.max(1);
    let mut track = first;
    for (net, (targets, sources)) in nets.iter().enumerate() {
        if straight(targets, sources) {
            (first..last).for_each(|row| canvas.put(row, sources[0], net, UP | DOWN));
            continue;
        }
        let ends = || sources.iter().chain(targets).copied();
        let (low, high) = (ends().min().unwrap_or(0), ends().max().unwrap_or(0));
        for column in low..high {
            canvas.put(track, column, net, RIGHT);
            canvas.put(track, column + 1, net, LEFT);
        }
        for from in sources {
            (first..track).for_each(|row| canvas.put(row, *from, net, UP | DOWN));
            canvas.put(track, *from, net, UP);
        }
        for to in targets {
            canvas.put(track, *to, net, DOWN);
            (track + 1..last).for_each(|row| canvas.put(row, *to, net, UP | DOWN));
        }
        track += 1;
    }
    for to in nets.keys().flatten() {
        let arrives = laid.layers[layer + 1].iter().any(|slot| slot.edge.is_none() && slot.center == *to);
        if arrives {
            canvas.cell(last, *to).text = Some('▼');
        } else {
            canvas.put(last, *to, 0, UP | DOWN);
        }
    }
    last + 1
}
