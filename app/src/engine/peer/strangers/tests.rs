use super::*;
use crate::engine::clock;

#[test]
fn the_first_is_told_at_once_and_a_flood_once_in_a_while() {
    let start = clock::now();
    let mut tally = Tally::new();
    let (mut told, mut counted) = (0, 0);
    for ms in 0..60_000 {
        let now = start + Duration::from_millis(ms);
        tally.note(now, ms.to_string());
        if let Some((count, last)) = tally.take(now) {
            assert_eq!(last, ms.to_string());
            told += 1;
            counted += count;
        }
        assert!(told > 0, "the first one");
    }
    assert_eq!((told, counted), (6, 50_001));
    let end = start + Duration::from_secs(60);
    assert_eq!(tally.due, Some(end));
    assert_eq!(tally.take(end).map(|(count, _)| count), Some(9_999));
    assert_eq!((tally.due, tally.take(end + Duration::from_secs(60))), (None, None));
}

#[test]
fn powers_cost_an_address_no_more_than_its_share_of_the_processor() {
    let start = clock::now();
    let mut strangers = Strangers::new(std::iter::empty());
    let address = IpAddr::from([192, 0, 2, 1]);
    let spent = (0..60_000).filter(|ms| strangers.affords_power(start + Duration::from_millis(*ms), address)).count();
    assert!((30..=34).contains(&spent), "{spent} powers in a minute");
}
