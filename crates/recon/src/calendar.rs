//! Business days, for each currency.

use std::collections::{BTreeSet, HashMap};

use jiff::civil::{Date, Weekday};

use crate::Currency;

/// On which days nothing is settled: at weekends, and on the holidays of a currency.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    holidays: HashMap<Currency, BTreeSet<Date>>,
}

impl Calendar {
    /// Adds a holiday of a currency.
    pub fn close(&mut self, currency: Currency, day: Date) {
        self.holidays.entry(currency).or_default().insert(day);
    }

    /// Whether something is settled on a day.
    #[must_use]
    pub fn is_open(&self, currency: Currency, day: Date) -> bool {
        is_weekday(day) && !self.holidays.get(&currency).is_some_and(|closed| closed.contains(&day))
    }

    /// So many business days after a day; nothing where the calendar ends before.
    #[must_use]
    pub fn after(&self, currency: Currency, day: Date, days: u32) -> Option<Date> {
        let (mut day, mut left) = (day, days);
        while left > 0 {
            day = day.tomorrow().ok()?;
            left -= u32::from(self.is_open(currency, day));
        }
        Some(day)
    }

    /// How many business days lie between two days, whichever is the earlier one: from a day to the next business day it is one,
    /// and weekends and holidays count as the business day before them.
    #[must_use]
    pub fn between(&self, currency: Currency, one: Date, other: Date) -> u32 {
        let (from, to) = (one.min(other), one.max(other));
        let closed = self.holidays.get(&currency).map_or(0, |closed| {
            let inside = (std::ops::Bound::Excluded(from), std::ops::Bound::Included(to));
            if from == to { 0 } else { closed.range::<Date, _>(inside).filter(|day| is_weekday(**day)).count() }
        });
        let days = weekdays_until(to) - weekdays_until(from);
        u32::try_from(days).unwrap_or(0).saturating_sub(u32::try_from(closed).unwrap_or(u32::MAX))
    }
}

fn is_weekday(day: Date) -> bool {
    !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday)
}

/// How many weekdays there were until the end of a day, counted from a Monday long ago.
fn weekdays_until(day: Date) -> i64 {
    const MONDAY: Date = Date::constant(1, 1, 1);
    let days = i64::from((day - MONDAY).get_days());
    let (weeks, rest) = (days.div_euclid(7), days.rem_euclid(7));
    weeks * 5 + (rest + 1).min(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn business_days_are_counted_as_on_a_wall_calendar() {
        let eur: Currency = "EUR".parse().unwrap();
        let mut calendar = Calendar::default();
        let day = |day: i8| Date::constant(2026, 4, day);
        // Good Friday and Easter Monday.
        calendar.close(eur, day(3));
        calendar.close(eur, day(6));
        for from in 1..=30 {
            for to in from..=30 {
                let walked = (from + 1..=to).filter(|it| calendar.is_open(eur, day(*it))).count();
                assert_eq!(calendar.between(eur, day(from), day(to)) as usize, walked, "from {from} to {to}");
                assert_eq!(calendar.between(eur, day(to), day(from)) as usize, walked);
                if calendar.is_open(eur, day(to)) {
                    assert_eq!(
                        calendar.after(eur, day(from), walked.try_into().unwrap()),
                        Some(if walked == 0 { day(from) } else { day(to) })
                    );
                }
            }
        }
        assert_eq!(calendar.between(eur, day(2), day(7)), 1, "from Thursday to the Tuesday after Easter");
        assert_eq!(calendar.between("USD".parse().unwrap(), day(2), day(7)), 3);
    }
}
