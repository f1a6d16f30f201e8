//! What many voices come to together: a pure function of what was heard.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use quorate_expr::{Decimal, Range, Truth, Value, Why};
use serde::{Deserialize, Serialize};

use crate::bind::Bound;
use crate::decide::seen;
use crate::draft::Method;
use crate::event::{Operand, TaskRef};
use crate::plan::Plan;
use crate::run::{NONE, Run, State, TaskStatus};

/// Digits behind the point of a mean that is told; what it means is read from all of it.
const SCORE_DIGITS: u32 = 6;
/// Most voices of one decision.
pub const MAX_VOICES: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Voices {
    pub(crate) by: Method,
    pub(crate) of: Vec<Voice>,
    pub(crate) at_least: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) insufficient: Arc<str>,
    pub(crate) undecided: Arc<str>,
    pub(crate) vetoed: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct Voice {
    pub(crate) task: u32,
    pub(crate) weight: Decimal,
    /// Where it is not given: its vote, or how sure it is.
    pub(crate) says: Option<Bound>,
    pub(crate) veto: Option<Bound>,
}

#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) when: Option<Bound>,
    pub(crate) then: Arc<str>,
}

impl Voices {
    /// The tasks without which nothing is agreed on: all where all have to be heard, and those that may veto.
    pub(crate) fn needed(&self) -> impl Iterator<Item = u32> {
        let all = self.at_least == self.of.len();
        self.of.iter().filter(move |voice| all || voice.veto.is_some()).map(|voice| voice.task)
    }
}

/// What was heard, and what it came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Council {
    /// By which rule.
    pub by: Method,
    /// How many had to be heard.
    pub at_least: usize,
    /// Every voice.
    pub voices: Vec<Heard>,
    /// Of weighted numbers: their mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<Decimal>,
    /// What the score means: every row that was looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<RowLook>,
    /// What it came to.
    pub outcome: Agreement,
}

/// One voice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The task.
    pub task: TaskRef,
    /// What it counts.
    pub weight: Decimal,
    /// What it said; nothing where it was not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// How sure it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Decimal>,
    /// Whether it vetoed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub veto: bool,
    /// Why it was not heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A row that was looked at for what a score means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowLook {
    /// The decision that it leads to.
    pub then: String,
    /// Its condition; one without always holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What it found.
    pub outcome: crate::Outcome,
    /// What it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operands: Vec<Operand>,
}

/// What voices came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agreement {
    /// A decision.
    Agreed,
    /// One of them vetoed.
    Vetoed(TaskRef),
    /// Too few were heard, or it is not known whether one of them vetoes.
    Insufficient(String),
    /// They do not agree, or what they come to means nothing.
    Undecided(String),
    /// A row of the meanings of the score is unknown, and stands before any that holds.
    Unknown(String),
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Method::Weighted => "weighted",
            Method::Majority => "majority",
            Method::Unanimity => "unanimity",
            Method::First => "first",
            Method::Best => "best",
        })
    }
}

impl Council {
    /// Why they did not come to this, where that can be said of them.
    pub(crate) fn why_not(&self, action: &str) -> Option<String> {
        if let Some(row) = self.rows.iter().find(|row| row.then == action) {
            let outcome = if row.outcome == crate::Outcome::Unknown { "is unknown" } else { "does not hold" };
            return row.when.as_ref().map(|when| format!("`{when}` {outcome}{}", seen(&row.operands)));
        }
        let said = || self.voices.iter().filter(|voice| voice.said.as_deref() == Some(action));
        let (votes, all) = (said().count(), self.voices.len());
        let weighs = |weight: Decimal| weight.normalize();
        let alike = self.voices.iter().all(|voice| voice.weight == Decimal::ONE);
        let weight = format!(", with a weight of {}", weighs(said().map(|voice| voice.weight).sum()));
        let weight = if alike { "" } else { &weight };
        (self.by != Method::Weighted && votes > 0).then(|| format!("{votes} of {all} voices said so{weight}"))
    }
}

impl fmt::Display for Council {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.outcome, self.score) {
            (Agreement::Agreed, Some(score)) => {
                let cut = score.trunc_with_scale(SCORE_DIGITS);
                write!(f, "the weighted mean is {}{}", cut.normalize(), if cut == score { "" } else { "…" })
            }
            (Agreement::Agreed, None) => f.write_str(match self.by {
                Method::Weighted | Method::Majority => "more than half of the voices say so",
                Method::Unanimity => "all voices say so",
                Method::First => "the first voice says so",
                Method::Best => "the surest voice says so",
            }),
            (Agreement::Vetoed(task), _) => write!(f, "{} vetoes", task.id()),
            (Agreement::Insufficient(why) | Agreement::Undecided(why) | Agreement::Unknown(why), _) => f.write_str(why),
        }
    }
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.task.id())?;
        match (&self.said, &self.missing) {
            (Some(said), _) => write!(f, " says {said}")?,
            (None, Some(why)) => write!(f, " is not heard: {why}")?,
            (None, None) => f.write_str(" has not been heard")?,
        }
        if self.weight != Decimal::ONE {
            write!(f, ", weight {}", self.weight.normalize())?;
        }
        if let Some(confidence) = self.confidence {
            write!(f, ", confidence {confidence}")?;
        }
        f.write_str(if self.veto { ", and vetoes" } else { "" })
    }
}

/// What voices came to, as a decision.
pub(crate) struct Verdict {
    pub(crate) action: Arc<str>,
    pub(crate) confidence: Option<Decimal>,
    pub(crate) council: Council,
}

/// A voice that was heard.
struct Said {
    at: usize,
    said: Value<'static>,
    confidence: Option<Decimal>,
}

/// How far the voices have come.
#[derive(Default)]
struct Listening {
    said: Vec<Said>,
    open: usize,
    open_weight: Decimal,
    /// One that vetoes.
    veto: Option<TaskRef>,
    /// One of which it will never be known whether it vetoes.
    doubtful: Option<String>,
    /// One that may still veto.
    may_veto: bool,
}

impl Run {
    /// What voices come to by now; nothing as long as that may change. `last`: whoever was not heard by now will not be.
    pub(crate) fn council(&self, voices: &Voices, last: bool) -> Option<Verdict> {
        let mut heard = Vec::with_capacity(voices.of.len());
        let mut listening = Listening::default();
        for (at, voice) in voices.of.iter().enumerate() {
            heard.push(self.listen_to(voices, voice, at, last, &mut listening));
        }
        let settled = self.settled(voices, &listening, last)?;
        let Settled { action, confidence, score, rows, outcome } = settled;
        let council = Council { by: voices.by, at_least: voices.at_least, voices: heard, score, rows, outcome };
        Some(Verdict { action, confidence, council })
    }

    fn listen_to(&self, voices: &Voices, voice: &Voice, at: usize, last: bool, listening: &mut Listening) -> Heard {
        let task = match self.latest[voice.task as usize] {
            NONE => TaskRef { ix: NONE, id: self.plan.nodes[voice.task as usize].id.clone() },
            ix => self.reference(ix),
        };
        let mut heard = Heard { task, weight: voice.weight, said: None, confidence: None, veto: false, missing: None };
        let state = match self.latest[voice.task as usize] {
            NONE => None,
            // What may run again has not had its last word.
            ix if self.agenda.repeats.contains(&ix) => None,
            ix => Some(self.state(ix)),
        };
        let missing = match state {
            Some(State::Succeeded) if !last && self.is_open(voice.says.as_ref()) => {
                listening.open += 1;
                listening.open_weight += voice.weight;
                listening.may_veto |= voice.veto.is_some();
                return heard;
            }
            Some(State::Succeeded) => match self.says(voices, voice) {
                Ok(said) => {
                    heard.said = Some(match &said {
                        Value::Text(text) => text.to_string(),
                        other => other.to_string(),
                    });
                    heard.confidence = self.confidence_of(voice.task);
                    listening.said.push(Said { at, said, confidence: heard.confidence });
                    None
                }
                Err(why) => Some(why),
            },
            Some(State::Ended(TaskStatus::Failed, _)) => Some("it failed".to_owned()),
            Some(State::Ended(status, _)) => Some(format!("it was {}", status.to_string().replace("timed_out", "too late"))),
            None if last => Some("it was not asked".to_owned()),
            _ if last => Some("it has not ended".to_owned()),
            _ => {
                listening.open += 1;
                listening.open_weight += voice.weight;
                listening.may_veto |= voice.veto.is_some();
                return heard;
            }
        };
        if let Some(veto) = &voice.veto {
            match self.truth(veto, None) {
                Truth::True => {
                    heard.veto = true;
                    listening.veto.get_or_insert_with(|| heard.task.clone());
                }
                Truth::False => {}
                Truth::Unknown(_) if !last && self.may_still_learn(veto) => listening.may_veto = true,
                Truth::Unknown(why) => {
                    let doubt = || format!("whether {} vetoes is not known: `{}` {why}", heard.task.id(), veto.text().trim());
                    listening.doubtful.get_or_insert_with(doubt);
                }
            }
        }
        heard.missing = missing;
        heard
    }

    /// Whether what an expression comes to is unknown, and may come to be known.
    fn is_open(&self, bound: Option<&Bound>) -> bool {
        bound.is_some_and(|bound| matches!(self.value_of(bound), Value::Unknown(_)) && self.may_still_learn(bound))
    }

    /// What a voice says, or why that counts for nothing.
    fn says(&self, voices: &Voices, voice: &Voice) -> Result<Value<'static>, String> {
        let usual = if voices.by == Method::Weighted { "confidence" } else { "action" };
        let text = voice.says.as_ref().map_or(usual, |says| says.text().trim());
        // What it does not say is not looked for anywhere else.
        let said = voice.says.as_ref().map_or_else(|| self.field_of(voice.task, usual), |says| self.value_of(says));
        match (said, voices.by) {
            (Value::Unknown(why), _) => Err(format!("`{text}` {why}")),
            (Value::Number(number), Method::Weighted) => Ok(Value::Number(number)),
            (_, Method::Weighted) => Err(format!("`{text}` is no number")),
            (Value::Text(vote), _) if self.plan.actions.contains(&*vote) => Ok(Value::Text(vote)),
            (Value::Text(vote), _) => Err(format!("`{vote}` is not an action of this plan")),
            (_, _) => Err(format!("`{text}` {}", Why::WrongType)),
        }
    }

    fn settled(&self, voices: &Voices, listening: &Listening, last: bool) -> Option<Settled> {
        let Listening { said, open, open_weight, veto, doubtful, may_veto } = listening;
        if let Some(task) = veto {
            return Some(Settled::new(&voices.vetoed, Agreement::Vetoed(task.clone())));
        }
        // A veto that may come beats whatever the others say.
        if *may_veto {
            return None;
        }
        if let Some(doubt) = doubtful {
            return Some(Settled::new(&voices.insufficient, Agreement::Insufficient(doubt.clone())));
        }
        if said.len() + open < voices.at_least {
            let why = format!("{} of {} voices can be heard, and it takes {}", said.len() + open, voices.of.len(), voices.at_least);
            return Some(Settled::new(&voices.insufficient, Agreement::Insufficient(why)));
        }
        if voices.by == Method::Unanimity && said.windows(2).any(|pair| pair[0].said != pair[1].said) {
            return Some(Settled::new(&voices.undecided, Agreement::Undecided("the voices do not agree".to_owned())));
        }
        let all = *open == 0;
        if said.len() < voices.at_least {
            return None;
        }
        match voices.by {
            Method::Weighted => all.then(|| self.weighed(voices, said, last)).flatten(),
            Method::Majority => majority(voices, said, *open_weight, all),
            Method::Unanimity => all.then(|| Settled::by(&said.iter().collect::<Vec<_>>())),
            Method::First => {
                let ended = |said: &&Said| self.tasks[self.latest[voices.of[said.at].task as usize] as usize].ended;
                said.iter().min_by_key(ended).map(|first| Settled::by(&[first]))
            }
            Method::Best => all.then(|| surest(voices, said)),
        }
    }

    /// The weighted mean, and what it means; nothing where the meaning depends on what may still come to be known.
    fn weighed(&self, voices: &Voices, said: &[Said], last: bool) -> Option<Settled> {
        let mut sum = Some(Decimal::ZERO);
        let mut weights = Decimal::ZERO;
        for Said { at, said, .. } in said {
            let weight = voices.of[*at].weight;
            let Value::Number(number) = said else { continue };
            weights += weight;
            sum = sum.and_then(|sum| number.checked_mul(weight).and_then(|part| sum.checked_add(part)));
        }
        let Some(score) = sum.and_then(|sum| sum.checked_div(weights)) else {
            let why = "the mean is too large to be exact".to_owned();
            return Some(Settled::new(&voices.undecided, Agreement::Undecided(why)));
        };
        let score = score.normalize();
        let mut looked = Vec::new();
        let settled = self.meaning(voices, score, &mut looked);
        let open = matches!(settled.outcome, Agreement::Unknown(_))
            && voices.rows[looked.len() - 1].when.as_ref().is_some_and(|when| self.may_still_learn(when));
        let confidence = Some(score).filter(|score| Range::UNIT.holds(*score));
        (last || !open).then_some(Settled { confidence, score: Some(score), rows: looked, ..settled })
    }

    /// What a score would mean.
    pub(crate) fn meaning_of(&self, voices: &Voices, score: Decimal) -> Arc<str> {
        self.meaning(voices, score, &mut Vec::new()).action
    }

    /// The first row that holds.
    fn meaning(&self, voices: &Voices, score: Decimal, looked: &mut Vec<RowLook>) -> Settled {
        for Row { when, then } in &voices.rows {
            let (truth, operands) = when.as_ref().map_or((Truth::True, Vec::new()), |when| self.explain_score(when, score));
            let text = when.as_ref().map(|when| when.text().trim().to_owned());
            looked.push(RowLook { then: then.to_string(), when: text.clone(), outcome: truth.into(), operands });
            match truth {
                Truth::True => return Settled::new(then, Agreement::Agreed),
                Truth::False => {}
                Truth::Unknown(_) => {
                    let why = format!("`{}` is unknown, where the mean is {score}", text.unwrap_or_default());
                    return Settled::new(&self.plan.on_unknown, Agreement::Unknown(why));
                }
            }
        }
        let why = format!("nothing is said about a mean of {score}");
        Settled::new(&voices.undecided, Agreement::Undecided(why))
    }
}

/// What more than half of all weight says that is, or can still be, heard.
fn majority(voices: &Voices, said: &[Said], open: Decimal, all: bool) -> Option<Settled> {
    let mut votes: BTreeMap<&str, (Decimal, Vec<&Said>)> = BTreeMap::new();
    let mut whole = open;
    for vote in said {
        let Value::Text(action) = &vote.said else { continue };
        let (weight, agree) = votes.entry(action).or_default();
        *weight += voices.of[vote.at].weight;
        whole += voices.of[vote.at].weight;
        agree.push(vote);
    }
    match votes.values().find(|(weight, _)| *weight * Decimal::TWO > whole) {
        Some((_, agree)) => Some(Settled::by(agree)),
        None if all => Some(Settled::new(&voices.undecided, Agreement::Undecided("no action has more than half of the votes".to_owned()))),
        None => None,
    }
}

/// The vote of the voice that is the surest. One that does not say how sure it is comes after all that do.
fn surest(voices: &Voices, said: &[Said]) -> Settled {
    let most = said.iter().map(|said| said.confidence).max().flatten();
    let best: Vec<&Said> = said.iter().filter(|said| said.confidence == most).collect();
    if best.windows(2).any(|pair| pair[0].said != pair[1].said) {
        return Settled::new(&voices.undecided, Agreement::Undecided("the surest voices do not agree".to_owned()));
    }
    Settled::by(&best)
}

/// What voices came to, before it is put together.
struct Settled {
    action: Arc<str>,
    confidence: Option<Decimal>,
    score: Option<Decimal>,
    rows: Vec<RowLook>,
    outcome: Agreement,
}

impl Settled {
    fn new(action: &Arc<str>, outcome: Agreement) -> Settled {
        Settled { action: action.clone(), confidence: None, score: None, rows: Vec::new(), outcome }
    }

    /// What these voices say, who agree: no surer than the least sure of them.
    fn by(agree: &[&Said]) -> Settled {
        let action: Arc<str> = match agree.first().map(|said| &said.said) {
            Some(Value::Text(vote)) => (&**vote).into(),
            _ => crate::HIL_REVIEW.into(),
        };
        let confidence = agree.iter().filter_map(|said| said.confidence).min();
        Settled { confidence, ..Settled::new(&action, Agreement::Agreed) }
    }
}

/// What voices may come to.
pub(crate) fn actions(plan: &Plan, voices: &Voices) -> Vec<Arc<str>> {
    let own = voices.rows.iter().map(|row| row.then.clone());
    let votes = plan.actions.iter().filter(|_| voices.by != Method::Weighted).cloned();
    own.chain(votes).chain([voices.insufficient.clone(), voices.undecided.clone(), voices.vetoed.clone()]).collect()
}
