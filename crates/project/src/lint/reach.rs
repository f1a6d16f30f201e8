//! Agents that can never run, and decisions that nothing should come to without them.

use std::collections::{BTreeMap, BTreeSet};

use quorate_core::draft::{Needs, WorkDraft};
use quorate_core::{AUTO_RESOLVE, GateView, HIL_REVIEW, Place, ThenView};
use quorate_expr::{Answer, Checked, Outcomes, Span, Stand};

use super::{Linting, all_before};

impl Linting<'_, '_> {
    /// What can never run, and what is resolved without those whom it takes.
    pub(super) fn reach(&mut self, needed: &[String]) {
        let never = self.never();
        for agent in needed {
            self.resolved_without(agent, &never);
        }
    }

    /// Tasks that can never run: their own condition never lets them, or too few of those that they wait for can.
    fn never(&mut self) -> BTreeSet<String> {
        let plan = self.policy.plan.clone();
        let mut never = BTreeSet::new();
        for GateView { task, deps, needs, when, skip_when } in plan.gates() {
            let can = |condition: &Option<(&Checked, Vec<Place<'_>>)>, outcomes| {
                condition.as_ref().is_none_or(|(condition, places)| self.gate(condition, places, outcomes) != Answer::Never)
            };
            let place = self.policy.at.members.get(task).copied();
            let (runs, keeps) = (can(&when, Outcomes::TRUE), can(&skip_when, Outcomes::NOT_TRUE));
            let live = deps.iter().filter(|dep| !never.contains(**dep)).count();
            let fires = match needs {
                Needs::All => live == deps.len(),
                Needs::Any => live > 0 || deps.is_empty(),
                Needs::AtLeast(count) => live >= count as usize,
                Needs::NoneFailed | Needs::Settled => true,
            };
            let text = |condition: &Option<(&Checked, Vec<Place<'_>>)>| {
                condition.as_ref().map(|(condition, _)| condition.ast().source().trim().to_owned()).unwrap_or_default()
            };
            if !runs || !keeps {
                let why = if runs { format!("`{}` always holds", text(&skip_when)) } else { format!("`{}` can never hold", text(&when)) };
                self.tell("L008", format!("{task} can never run: {why}"), place, "leave it out, or look at what its condition reads");
            } else if !fires {
                let missing: Vec<&str> = deps.iter().filter(|dep| never.contains(**dep)).copied().collect();
                let message = format!("{task} can never run: it waits for {}, which can never run", missing.join(" and "));
                self.tell("L014", message, place, "let it wait for others");
            }
            if !runs || !keeps || !fires {
                never.insert(task.to_owned());
            }
        }
        never
    }

    /// Whether a condition of a task can come out like that.
    fn gate(&self, condition: &Checked, places: &[Place<'_>], outcomes: Outcomes) -> Answer {
        self.ask(&[(condition, places, outcomes)], &BTreeMap::new())
    }

    /// Ways to resolve without an agent that is to have been asked.
    fn resolved_without(&mut self, agent: &str, never: &BTreeSet<String>) {
        let plan = self.policy.plan.clone();
        let draft = plan.draft();
        let is_it = |work: &WorkDraft| match work {
            WorkDraft::Agent { id, capabilities } => id.as_deref() == Some(agent) || capabilities.iter().any(|name| name == agent),
            WorkDraft::Approval(_) | WorkDraft::Wait(_) | WorkDraft::Workflow { .. } => false,
        };
        let its: Vec<&str> = draft.tasks.iter().filter(|task| is_it(&task.work)).map(|task| task.id.as_str()).collect();
        let its: Vec<&str> = its.into_iter().filter(|task| !never.contains(*task)).collect();
        let mut ways: Vec<(String, Option<Span>)> = Vec::new();
        for view in 0..self.views.len() {
            let here = &self.views[view];
            let mut after = here.after.clone();
            let resolves = match &here.then {
                ThenView::Decides(action) => *action == AUTO_RESOLVE,
                ThenView::Follows(task) => {
                    after.push(task);
                    true
                }
                ThenView::Weighs { of, needed, actions } => {
                    after.extend(of);
                    let heard = needed.iter().any(|task| its.contains(task));
                    !heard && actions.iter().any(|action| **action == *AUTO_RESOLVE)
                }
                ThenView::Adds(_) => false,
            };
            if !resolves {
                continue;
            }
            let before = all_before(&plan, &after);
            // At last all that belongs to the plan from the start has ended.
            let comes = |task: &&str| before.contains(*task) || (after.is_empty() && plan.begins_with(task));
            let without = its.iter().copied().filter(comes).all(|task| {
                let lacking: Vec<Stand> = plan.ends_of(task).into_iter().filter(|stand| *stand != Stand::Succeeded).collect();
                if lacking.is_empty() {
                    return false;
                }
                let given = BTreeMap::from([(task, lacking)]);
                self.ask(&[(here.condition, &here.reads, Outcomes::TRUE)], &given) != Answer::Never
            });
            if without {
                ways.push((here.id.to_owned(), self.place(view)));
            }
        }
        let may_miss = |task: &&str| !plan.begins_with(task) || plan.ends_of(task).iter().any(|stand| *stand != Stand::Succeeded);
        if draft.otherwise.as_deref() == Some(AUTO_RESOLVE) && its.iter().all(may_miss) {
            ways.push(("otherwise".to_owned(), None));
        }
        for (way, place) in ways {
            let message = format!("{way} can come to {AUTO_RESOLVE} although {agent} has found nothing");
            let help = format!("let it look after {agent}, or decide {HIL_REVIEW}; `auto_resolve_needs` says whom it takes");
            self.tell("L012", message, place, &help);
        }
    }
}
