//! Boxes by modules, and what repeats drawn once.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::fold::{folded, hoisted};
use super::vertex::{Class, Vertex};
use crate::name::ancestors;

/// What is drawn: a box, or a frame around several.
#[derive(Debug, Clone)]
pub(super) enum Block {
    Layer { lines: Vec<String>, class: Class },
    Group(Group),
}

/// A frame.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// The module's name in the one around it.
    pub title: String,
    /// Its type.
    pub kind: Option<String>,
    pub items: Vec<Item>,
    /// From an item to another; [`INPUT`] and [`OUTPUT`] are the frame's own ends.
    pub edges: Vec<[usize; 2]>,
}

/// A block and how often it stands there, one after the other.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub block: Block,
    pub times: usize,
    /// The shape of what it gives, where that is new.
    pub shape: Option<String>,
}

/// How often a block is there that is there more or less often at several places.
pub(super) const VARIES: usize = 0;
/// Where a group's input comes from.
pub(super) const INPUT: usize = usize::MAX;
/// Where a group's output goes.
pub(super) const OUTPUT: usize = usize::MAX - 1;

/// The blocks of a network.
pub(super) fn tree(vertices: &[Vertex], kinds: &BTreeMap<String, String>) -> Group {
    let readers = readers(vertices);
    let all: BTreeSet<usize> = (0..vertices.len()).collect();
    Tree { vertices, readers, kinds }.group("", String::new(), &all)
}

impl Group {
    /// Items one after the other, if they all are; in their order.
    pub fn chain(&self) -> Option<Vec<usize>> {
        let next = |from: usize| {
            let mut ends = self.edges.iter().filter(|edge| edge[0] == from).map(|edge| edge[1]);
            ends.next().filter(|_| ends.next().is_none())
        };
        let chain: Vec<usize> =
            std::iter::successors(next(INPUT), |at| next(*at)).take_while(|at| *at != OUTPUT).collect();
        (chain.len() == self.items.len()).then_some(chain)
    }

    /// What stands side by side between two items that everything goes through is one item without a frame: so a network of
    /// which a part has branches is a chain all the same.
    pub fn sectioned(self) -> Self {
        let place = |end: usize| match end {
            INPUT => 0,
            OUTPUT => self.items.len() + 1,
            item => item + 1,
        };
        let passed =
            |at: &usize| self.edges.iter().any(|edge| place(edge[0]) < at + 1 && place(edge[1]) > at + 1);
        let mut sections: Vec<Vec<usize>> = vec![Vec::new()];
        for at in 0..self.items.len() {
            match passed(&at) {
                true => sections.last_mut().unwrap_or_else(|| unreachable!("one is there")).push(at),
                false => sections.extend([vec![at], Vec::new()]),
            }
        }
        let items: Vec<Item> = sections
            .into_iter()
            .filter(|section| !section.is_empty())
            .map(|section| self.section(&section))
            .collect();
        let last = items.len() - 1;
        let edges = (0..last).map(|at| [at, at + 1]).chain([[INPUT, 0], [last, OUTPUT]]).collect();
        Self { items, edges, ..self }
    }

    fn section(&self, members: &[usize]) -> Item {
        if let [only] = members {
            return self.items[*only].clone();
        }
        let inside =
            |end: usize, other: usize| members.iter().position(|member| *member == end).unwrap_or(other);
        let mut edges: Vec<[usize; 2]> =
            self.edges.iter().map(|[from, to]| [inside(*from, INPUT), inside(*to, OUTPUT)]).collect();
        edges.retain(|edge| *edge != [INPUT, OUTPUT]);
        // A line that passes the section on its way is one of its own.
        let passes = |edge: &&[usize; 2]| {
            let [first, last] = [members[0], members[members.len() - 1]];
            (edge[0] == INPUT || edge[0] < first) && (edge[1] == OUTPUT || edge[1] > last)
        };
        if self.edges.iter().any(|edge| passes(&edge)) {
            edges.push([INPUT, OUTPUT]);
        }
        edges.sort_unstable();
        edges.dedup();
        let items = members.iter().map(|member| self.items[*member].clone()).collect();
        Item {
            block: Block::Group(Self { title: String::new(), kind: None, items, edges }),
            times: 1,
            shape: None,
        }
    }

    /// This chain with a group of a chain in place of the frame around it.
    pub fn spliced(&self, at: usize) -> Option<Self> {
        let Item { block: Block::Group(inner), times: 1, shape } = &self.items[at] else { return None };
        let mut items = Vec::new();
        for outer in self.chain()? {
            if outer != at {
                items.push(self.items[outer].clone());
                continue;
            }
            let mut within: Vec<Item> =
                inner.chain()?.into_iter().map(|at| inner.items[at].clone()).collect();
            for item in &mut within {
                if let Block::Group(group) = &mut item.block {
                    group.title = format!("{}.{}", inner.title, group.title);
                }
            }
            if let Some(last) = within.last_mut() {
                last.shape = shape.clone();
            }
            items.extend(within);
        }
        let last = items.len() - 1;
        let edges = (0..last).map(|at| [at, at + 1]).chain([[INPUT, 0], [last, OUTPUT]]).collect();
        Some(Self { items, edges, ..self.clone() })
    }
}

fn readers(vertices: &[Vertex]) -> Vec<Vec<usize>> {
    let mut readers = vec![Vec::new(); vertices.len()];
    for (at, vertex) in vertices.iter().enumerate() {
        vertex.inputs.iter().flatten().for_each(|input: &usize| readers[*input].push(at));
    }
    readers
}

struct Tree<'a> {
    vertices: &'a [Vertex],
    readers: Vec<Vec<usize>>,
    kinds: &'a BTreeMap<String, String>,
}

/// Vertices that are one item.
struct Part {
    /// The path of the module, of a group.
    module: Option<String>,
    members: BTreeSet<usize>,
}

impl Tree<'_> {
    /// The vertices of a module.
    fn group(&self, module: &str, title: String, members: &BTreeSet<usize>) -> Group {
        let mut parts = self.parts(module, members);
        // A module that is all there is has no frame of its own.
        let mut module = module.to_string();
        while let [Part { module: Some(only), members }] = parts.as_slice() {
            (module, parts) = (only.clone(), self.parts(only, members));
        }
        let module = module.as_str();
        parts.sort_by_key(|part| part.members.iter().next_back().copied());
        let of: HashMap<usize, usize> = parts
            .iter()
            .enumerate()
            .flat_map(|(at, part)| part.members.iter().map(move |v| (*v, at)))
            .collect();
        let mut edges: Vec<[usize; 2]> = Vec::new();
        let mut add = |edge: [usize; 2]| {
            if edge[0] != edge[1] && !edges.contains(&edge) {
                edges.push(edge);
            }
        };
        for vertex in members {
            for input in &self.vertices[*vertex].inputs {
                let from = input.and_then(|input| of.get(&input)).copied().unwrap_or(INPUT);
                add([from, of[vertex]]);
            }
        }
        for vertex in members {
            let outside = self.readers[*vertex].iter().any(|reader| !members.contains(reader));
            if outside || self.readers[*vertex].is_empty() {
                add([of[vertex], OUTPUT]);
            }
        }
        let items = parts.into_iter().map(|part| self.item(part, module)).collect();
        let mut group = folded(Group { title, kind: self.kinds.get(module).cloned(), items, edges });
        // What leaves a frame has its shape written behind the frame.
        for edge in group.edges.iter().filter(|edge| edge[1] == OUTPUT && !group.title.is_empty()) {
            group.items[edge[0]].shape = None;
        }
        group
    }

    /// What is directly in a module: layers, and modules of several that one tensor leaves.
    fn parts(&self, module: &str, members: &BTreeSet<usize>) -> Vec<Part> {
        let mut by_child: HashMap<&str, BTreeSet<usize>> = HashMap::new();
        let mut parts = Vec::new();
        for vertex in members {
            let path = self.vertices[*vertex].module.as_str();
            match ancestors(path).take_while(|path| *path != module).last() {
                Some(child) => drop(by_child.entry(child).or_default().insert(*vertex)),
                None => parts.push(Part { module: None, members: BTreeSet::from([*vertex]) }),
            }
        }
        for (child, members) in by_child {
            match members.len() {
                1 => parts.push(Part { module: None, members }),
                _ if self.is_block(&members) => parts.push(Part { module: Some(child.to_string()), members }),
                _ => parts.extend(self.parts(child, &members)),
            }
        }
        parts
    }

    /// Whether one tensor comes to these vertices, one leaves them, and nothing that does comes back.
    fn is_block(&self, members: &BTreeSet<usize>) -> bool {
        let inputs = members.iter().flat_map(|vertex| &self.vertices[*vertex].inputs);
        let outside = |input: &&Option<usize>| input.is_none_or(|input| !members.contains(&input));
        if inputs.filter(outside).collect::<BTreeSet<_>>().len() > 1 {
            return false;
        }
        let leave = |vertex: &&usize| {
            let readers = &self.readers[**vertex];
            readers.is_empty() || readers.iter().any(|reader| !members.contains(reader))
        };
        let mut leaving = members.iter().filter(leave);
        let (Some(last), None) = (leaving.next(), leaving.next()) else { return false };
        let mut waiting: Vec<usize> =
            self.readers[*last].iter().copied().filter(|reader| !members.contains(reader)).collect();
        let mut seen: HashSet<usize> = HashSet::new();
        while let Some(vertex) = waiting.pop() {
            if members.contains(&vertex) {
                return false;
            }
            if seen.insert(vertex) {
                waiting.extend(&self.readers[vertex]);
            }
        }
        true
    }

    fn item(&self, part: Part, parent: &str) -> Item {
        let last = part.members.iter().next_back().map(|at| &self.vertices[*at]);
        let reshapes = part.members.iter().any(|at| self.vertices[*at].reshapes);
        let sides =
            |vertex: &Vertex| vertex.output.iter().map(usize::to_string).collect::<Vec<_>>().join("×");
        let shape = last.filter(|_| reshapes).map(sides);
        let block = match part.module {
            Some(module) => {
                let title = module.strip_prefix(parent).map_or(&*module, |rest| rest.trim_start_matches('.'));
                Block::Group(self.group(&module, title.to_string(), &part.members))
            }
            None => {
                let vertex = &self.vertices[*part.members.first().unwrap_or(&0)];
                Block::Layer { lines: vertex.lines.clone(), class: vertex.class }
            }
        };
        hoisted(Item { block, times: 1, shape })
    }
}
