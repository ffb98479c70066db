//! A sort in place that cannot panic.
//!
//! `core`'s sorts panic if the order of keys is inconsistent. Code linked into a kernel module must
//! not contain such a path, so this is a plain heap sort.

/// Sorts the items so that their keys rise; items with equal keys end in any order. O(n log n).
pub fn by_key<T: Copy, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    for root in (0..items.len() / 2).rev() {
        sink(items, root, &key);
    }
    for end in (1..items.len()).rev() {
        swap(items, 0, end);
        if let Some(heap) = items.get_mut(..end) {
            sink(heap, 0, &key);
        }
    }
}

/// Moves the item at `root` down until no child has a greater key.
fn sink<T: Copy, K: Ord>(heap: &mut [T], mut root: usize, key: &impl Fn(&T) -> K) {
    while let Some(child) = greater_child(heap, root, key) {
        match (heap.get(root), heap.get(child)) {
            (Some(parent), Some(other)) if key(parent) < key(other) => swap(heap, root, child),
            _ => return,
        }
        root = child;
    }
}

/// The position of the child with the greater key, if `root` has children.
fn greater_child<T: Copy, K: Ord>(heap: &[T], root: usize, key: &impl Fn(&T) -> K) -> Option<usize> {
    let left = root.checked_mul(2)?.checked_add(1)?;
    let right = left.checked_add(1)?;
    let left_item = heap.get(left)?;
    match heap.get(right) {
        Some(right_item) if key(right_item) > key(left_item) => Some(right),
        _ => Some(left),
    }
}

fn swap<T: Copy>(items: &mut [T], a: usize, b: usize) {
    if let (Some(&from_a), Some(&from_b)) = (items.get(a), items.get(b)) {
        if let Some(place) = items.get_mut(a) {
            *place = from_b;
        }
        if let Some(place) = items.get_mut(b) {
            *place = from_a;
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use proptest::prelude::*;

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too many cases for it")]
        fn items_end_in_the_order_of_their_keys(mut items in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut expected = items.clone();
            expected.sort_unstable();
            super::by_key(&mut items, |&item| item);
            prop_assert_eq!(items, expected);
        }
    }
}
