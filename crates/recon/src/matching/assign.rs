//! Who goes with whom, where several could: what every best answer agrees on, and nothing else.

use std::collections::BTreeMap;

/// Most ways of spending the right side's copies that are looked at for one group of items that hang together.
const MAX_STATES: usize = 1 << 14;
/// Most steps that are tried for one such group.
const MAX_STEPS: usize = 400_000;

/// Items that are copies of each other stand for one row or column, with how many of them there are. What is written at a row
/// and a column is how well they go together; nothing where they do not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Candidates {
    pub(crate) left: Vec<u32>,
    pub(crate) right: Vec<u32>,
    pub(crate) weights: BTreeMap<(usize, usize), u32>,
}

/// What all best answers have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sure {
    /// How many copies of a row go with copies of a column in every best answer.
    pub(crate) pairs: BTreeMap<(usize, usize), u32>,
    /// Rows and columns of which more go together in some best answer and less in another.
    pub(crate) open_left: Vec<usize>,
    pub(crate) open_right: Vec<usize>,
}

/// In how many ways copies can be spent.
fn states(copies: &[u32]) -> usize {
    copies.iter().fold(1, |states: usize, copies| states.saturating_mul(*copies as usize + 1))
}

/// A step from one row to the next: how many of each column the row takes.
struct Step {
    from: usize,
    to: usize,
    taken: Vec<u32>,
    weight: u64,
}

impl Candidates {
    /// What every answer of the greatest weight agrees on. `None` where there is too much to try: then nothing is sure.
    pub(crate) fn sure(&self) -> Option<Sure> {
        if let (&[left], &[right]) = (&self.left[..], &self.right[..]) {
            // Copies on both sides: as many as there are of the fewer.
            return Some(Sure { pairs: BTreeMap::from([((0, 0), left.min(right))]), open_left: Vec::new(), open_right: Vec::new() });
        }
        // The side with fewer ways of spending its copies is the one that is kept in mind: the answer is the same.
        if states(&self.left) < states(&self.right) {
            let turned = self.turned().solved()?;
            let pairs = turned.pairs.into_iter().map(|((row, column), count)| ((column, row), count)).collect();
            return Some(Sure { pairs, open_left: turned.open_right, open_right: turned.open_left });
        }
        self.solved()
    }

    fn turned(&self) -> Candidates {
        let weights = self.weights.iter().map(|((row, column), weight)| ((*column, *row), *weight)).collect();
        Candidates { left: self.right.clone(), right: self.left.clone(), weights }
    }

    fn solved(&self) -> Option<Sure> {
        let states = states(&self.right);
        if states > MAX_STATES {
            return None;
        }
        let radix: Vec<usize> = self
            .right
            .iter()
            .scan(1, |place, copies| {
                let this = *place;
                *place *= *copies as usize + 1;
                Some(this)
            })
            .collect();
        let layers = self.layers(&radix, states)?;
        Some(self.common(&layers, states))
    }

    /// Every step that can be taken, row by row, from what can be reached.
    fn layers(&self, radix: &[usize], states: usize) -> Option<Vec<Vec<Step>>> {
        let mut reached = vec![false; states];
        reached[0] = true;
        let mut layers = Vec::with_capacity(self.left.len());
        let mut budget = MAX_STEPS;
        for (row, copies) in self.left.iter().enumerate() {
            let columns: Vec<(usize, u64)> =
                self.weights.range((row, 0)..(row + 1, 0)).map(|((_, column), weight)| (*column, u64::from(*weight))).collect();
            let mut steps = Vec::new();
            for from in (0..states).filter(|state| reached[*state]) {
                let free =
                    |column: usize| self.right[column] - u32::try_from(from / radix[column]).unwrap_or(u32::MAX) % (self.right[column] + 1);
                let mut taken = vec![0; columns.len()];
                loop {
                    let to = from + columns.iter().zip(&taken).map(|((column, _), count)| radix[*column] * *count as usize).sum::<usize>();
                    let weight = columns.iter().zip(&taken).map(|((_, weight), count)| weight * u64::from(*count)).sum();
                    steps.push(Step { from, to, taken: taken.clone(), weight });
                    budget = budget.checked_sub(1)?;
                    // The next way to take some, as one counts: the first column that can take one more does.
                    let mut next = false;
                    for at in 0..taken.len() {
                        if taken[at] < free(columns[at].0) && taken.iter().sum::<u32>() < *copies {
                            taken[at] += 1;
                            next = true;
                            break;
                        }
                        taken[at] = 0;
                    }
                    if !next {
                        break;
                    }
                }
            }
            reached = vec![false; states];
            steps.iter().for_each(|step| reached[step.to] = true);
            layers.push(steps);
        }
        Some(layers)
    }

    fn common(&self, layers: &[Vec<Step>], states: usize) -> Sure {
        // The best that can be reached, and the best that is still to come, for every state between two rows.
        let mut reached = vec![vec![None; states]; layers.len() + 1];
        reached[0][0] = Some(0);
        for (row, steps) in layers.iter().enumerate() {
            for step in steps {
                let with = reached[row][step.from].map(|before: u64| before + step.weight);
                reached[row + 1][step.to] = reached[row + 1][step.to].max(with);
            }
        }
        let mut to_come = vec![vec![0_u64; states]; layers.len() + 1];
        for (row, steps) in layers.iter().enumerate().rev() {
            for step in steps {
                let with = to_come[row + 1][step.to] + step.weight;
                to_come[row][step.from] = to_come[row][step.from].max(with);
            }
        }
        let best = to_come[0][0];
        let (mut pairs, mut open_left, mut open_right) = (BTreeMap::new(), Vec::new(), Vec::new());
        for (row, steps) in layers.iter().enumerate() {
            let columns: Vec<usize> = self.weights.range((row, 0)..(row + 1, 0)).map(|((_, column), _)| *column).collect();
            let mut least: Option<Vec<u32>> = None;
            let mut most = vec![0; columns.len()];
            for step in steps {
                let Some(before) = reached[row][step.from] else { continue };
                if before + step.weight + to_come[row + 1][step.to] < best {
                    continue;
                }
                let least = least.get_or_insert_with(|| step.taken.clone());
                for (at, taken) in step.taken.iter().enumerate() {
                    (least[at], most[at]) = (least[at].min(*taken), most[at].max(*taken));
                }
            }
            for (at, column) in columns.iter().enumerate() {
                let sure = least.as_ref().map_or(0, |least| least[at]);
                if sure > 0 {
                    pairs.insert((row, *column), sure);
                }
                if most[at] > sure {
                    open_left.push(row);
                    open_right.push(*column);
                }
            }
        }
        for open in [&mut open_left, &mut open_right] {
            open.sort_unstable();
            open.dedup();
        }
        Sure { pairs, open_left, open_right }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(left: &[u32], right: &[u32], weights: &[(usize, usize, u32)]) -> Option<Sure> {
        let weights = weights.iter().map(|(row, column, weight)| ((*row, *column), *weight)).collect();
        Candidates { left: left.to_vec(), right: right.to_vec(), weights }.sure()
    }

    #[test]
    fn two_weaker_pairs_beat_one_that_is_stronger() {
        let sure = of(&[1, 1], &[1, 1], &[(0, 0, 99), (0, 1, 93), (1, 0, 93)]).unwrap();
        assert_eq!(sure.pairs, BTreeMap::from([((0, 1), 1), ((1, 0), 1)]));
        assert!(sure.open_left.is_empty() && sure.open_right.is_empty());
    }

    #[test]
    fn a_tie_is_nobodys() {
        let sure = of(&[1, 1], &[1], &[(0, 0, 50), (1, 0, 50)]).unwrap();
        assert_eq!((sure.pairs.len(), sure.open_left, sure.open_right), (0, vec![0, 1], vec![0]));
        // Between copies there is no tie.
        let copies = of(&[2], &[1], &[(0, 0, 50)]).unwrap();
        assert_eq!(copies.pairs, BTreeMap::from([((0, 0), 1)]));
        assert!(copies.open_left.is_empty());
    }

    #[test]
    fn what_is_too_much_to_try_is_not_sure() {
        let many = [1; 16];
        let all: Vec<_> = (0..16).flat_map(|row| (0..16).map(move |column| (row, column, 10))).collect();
        assert_eq!(of(&many, &many, &all), None);
    }

    type Taken = BTreeMap<(usize, usize), u32>;

    /// Every answer there is, the slow way: how many of each pair it takes, and what it weighs.
    fn answers(candidates: &Candidates) -> Vec<(Taken, u64)> {
        let mut all = vec![(BTreeMap::new(), 0)];
        for (pair, weight) in &candidates.weights {
            let mut more = Vec::new();
            for (taken, sum) in &all {
                let used = |side: fn(&(usize, usize)) -> usize, at: usize| {
                    taken.iter().filter(|(pair, _)| side(pair) == at).map(|(_, count): (_, &u32)| *count).sum::<u32>()
                };
                let free =
                    (candidates.left[pair.0] - used(|pair| pair.0, pair.0)).min(candidates.right[pair.1] - used(|pair| pair.1, pair.1));
                for count in 1..=free {
                    let mut with = taken.clone();
                    with.insert(*pair, count);
                    more.push((with, sum + u64::from(*weight) * u64::from(count)));
                }
            }
            all.extend(more);
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_sure_is_what_all_best_answers_have_in_common(
            left in prop::collection::vec(1_u32..3, 1..4),
            right in prop::collection::vec(1_u32..3, 1..4),
            weights in prop::collection::btree_map((0_usize..4, 0_usize..4), 1_u32..5, 1..8),
        ) {
            let inside = |((row, column), _): &((usize, usize), u32)| *row < left.len() && *column < right.len();
            let weights: BTreeMap<_, _> = weights.into_iter().filter(inside).collect();
            prop_assume!(!weights.is_empty());
            let candidates = Candidates { left, right, weights };
            prop_assume!(candidates.left.len() + candidates.right.len() > 2);
            let all = answers(&candidates);
            let best = all.iter().map(|(_, weight)| *weight).max().unwrap();
            let best: Vec<_> = all.iter().filter(|(_, weight)| *weight == best).map(|(taken, _)| taken).collect();
            let sure = candidates.sure().unwrap();
            for pair in candidates.weights.keys() {
                let counts = || best.iter().map(|taken| taken.get(pair).copied().unwrap_or(0));
                let (least, most) = (counts().min().unwrap(), counts().max().unwrap());
                prop_assert_eq!(sure.pairs.get(pair).copied().unwrap_or(0), least);
                if most > least {
                    prop_assert!(sure.open_left.contains(&pair.0) && sure.open_right.contains(&pair.1));
                }
            }
            // The other side, asked the same, answers the same.
            let other = candidates.turned().sure().unwrap();
            prop_assert_eq!(other.pairs.iter().map(|((row, column), count)| ((*column, *row), *count)).collect::<BTreeMap<_, _>>(), sure.pairs);
            prop_assert_eq!((other.open_left, other.open_right), (sure.open_right, sure.open_left));
        }
    }
}
