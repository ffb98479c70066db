//! The elements of arrays and lists.

use std::collections::BTreeSet;

use super::path::{Memory, Path};
use super::rules::{Expression, Links, Loop, bad};
use super::scope::Scope;
use crate::kernel::btf::{Btf, Shape, TypeName};
use crate::{PhysRead, Result};

/// The name of the kernel's list heads, and of their links.
const LIST_HEAD: &str = "list_head";
const DIRECTIONS: [&str; 2] = ["next", "prev"];

/// The way to all elements, found by types.
pub(super) enum Walk {
    Array {
        first: Path,
        count: u64,
        /// Bytes from one element to the next.
        stride: u64,
        of: TypeName,
    },
    /// Structures, each with a pointer to the next.
    Chain {
        first: Path,
        /// From an element to the pointer.
        link: Path,
        of: TypeName,
    },
    /// Structures that a `struct list_head` in each of them links.
    List {
        head: Path,
        /// Offsets in a list head: of the link to follow, and of the one back.
        links: [u64; 2],
        /// The offset of the list head in an element.
        inside: u64,
        of: TypeName,
    },
}

impl Walk {
    pub(super) fn new(one: &Loop, scope: &Scope<'_>) -> Result<Self> {
        if let Links::Within(structure, member) = &one.links {
            return Self::list(one, (structure, member), scope);
        }
        let list = Path::of_expression(one.line, &one.list, scope, None)?;
        match (&one.links, list.shape(scope.types)?) {
            (Links::ByType, Shape::Array(of, count)) => Self::array(list, of, count, scope),
            (Links::Via(_), Shape::Array(..)) => {
                Err(bad(one.line, &format!("{} is an array: remove `via`", list.text)))
            }
            (Links::Via(member), _) => Self::chain(list, member, scope),
            _ if is_list_head(&list, scope.types)? => {
                let reason = format!("{} is a list head: add `within STRUCTURE:MEMBER`", list.text);
                Err(bad(one.line, &reason))
            }
            _ => Self::chain(list, DIRECTIONS[0], scope),
        }
    }

    /// The type of the elements.
    pub(super) fn of(&self) -> &TypeName {
        match self {
            Self::Array { of, .. } | Self::Chain { of, .. } | Self::List { of, .. } => of,
        }
    }

    fn array(first: Path, of: TypeName, count: u64, scope: &Scope<'_>) -> Result<Self> {
        let stride = scope.types.size_of(&of).filter(|size| *size > 0);
        let no_size = || bad(first.line, &format!("the elements of {} have no size", first.text));
        Ok(Self::Array { stride: stride.ok_or_else(no_size)?, first, count, of })
    }

    fn chain(mut first: Path, member: &str, scope: &Scope<'_>) -> Result<Self> {
        let mut of = first.of.clone();
        if let Shape::Pointer(to) = first.shape(scope.types)? {
            first.follow(to.clone());
            of = to;
        }
        let mut link = Path::of_element(first.line, &first.text, of.clone());
        link.enter(member, scope.types)?;
        let own = first.shape(scope.types)?;
        let is_same = match link.shape(scope.types)? {
            Shape::Pointer(to) => scope.types.shape(&to).is_some_and(|next| next == own),
            _ => false,
        };
        if !is_same {
            let reason = format!("{} is not a pointer to another such structure", link.text);
            return Err(bad(first.line, &reason));
        }
        Ok(Self::Chain { first, link, of })
    }

    fn list(one: &Loop, (structure, member): (&str, &str), scope: &Scope<'_>) -> Result<Self> {
        let (line, types) = (one.line, scope.types);
        let number = types.structure_number(structure);
        let number = number.ok_or_else(|| bad(line, &format!("the kernel has no structure {structure}")))?;
        let of = TypeName::Number(number);
        let mut node = Path::of_element(line, structure, of.clone());
        node.enter(member, types)?;
        if !is_list_head(&node, types)? {
            return Err(bad(line, &format!("{structure}.{member} is not a list head")));
        }
        let inside = types.place(number, member).map_or(0, |place| place.offset);
        let offset =
            |link| types.offset(LIST_HEAD, link).ok_or_else(|| bad(line, "the kernel has no list heads"));
        let [next, previous] = [offset(DIRECTIONS[0])?, offset(DIRECTIONS[1])?];
        let (head, is_backwards) = head(one, scope)?;
        let links = if is_backwards { [previous, next] } else { [next, previous] };
        Ok(Self::List { head, links, inside, of })
    }

    /// Passes the address of each element to `visit`. A list that leads back to an earlier element
    /// ends there. `left` is the number of elements that may still be visited.
    ///
    /// # Errors
    /// A link cannot be read, the list is damaged or has too many elements, or `visit` fails.
    pub(super) fn each(
        &self,
        memory: &Memory<'_, impl PhysRead + ?Sized>,
        left: &mut u64,
        visit: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let mut count_down = |path: &Path| {
            let too_many = || {
                bad(path.line, &format!("{} has too many elements: the limit is {MOST_ELEMENTS}", path.text))
            };
            *left = left.checked_sub(1).ok_or_else(too_many)?;
            Ok(())
        };
        match self {
            Self::Array { first, count, stride, .. } => {
                let Some(start) = first.address(memory, 0)? else { return Ok(()) };
                for index in 0..*count {
                    count_down(first)?;
                    visit(start.wrapping_add(index.wrapping_mul(*stride)))?;
                }
                Ok(())
            }
            Self::Chain { first, link, .. } => {
                let mut seen = BTreeSet::new();
                let mut next = first.address(memory, 0)?.unwrap_or(0);
                while next != 0 && seen.insert(next) {
                    count_down(first)?;
                    visit(next)?;
                    let Some(at) = link.address(memory, next)? else { break };
                    next = memory.read_u64(link.line, &link.text, at)?;
                }
                Ok(())
            }
            Self::List { head, links: [next, back], inside, .. } => {
                let Some(first) = head.address(memory, 0)? else { return Ok(()) };
                let read = |at: u64| memory.read_u64(head.line, &head.text, at);
                let mut node = first;
                // Each element leads back to the one before it, so no circle is without the head.
                loop {
                    let after = read(node.wrapping_add(*next))?;
                    if read(after.wrapping_add(*back))? != node {
                        let reason = format!(
                            "{} is damaged: {after:#x} follows {node:#x}, but does not lead back to it",
                            head.text
                        );
                        return Err(bad(head.line, &reason));
                    }
                    if after == first {
                        return Ok(());
                    }
                    count_down(head)?;
                    visit(after.wrapping_sub(*inside))?;
                    node = after;
                }
            }
        }
    }
}

/// The most elements of all loops together.
pub(super) const MOST_ELEMENTS: u64 = 1 << 20;

/// The list head, which a link in it may name too, and whether that is the one backwards. It may be
/// a symbol of unknown type: `within` implies that it is a list head.
fn head(one: &Loop, scope: &Scope<'_>) -> Result<(Path, bool)> {
    let Expression { start, members } = &one.list;
    let is_unknown = scope.type_of(start).is_none();
    let direction = |name: &String| DIRECTIONS.iter().position(|link| link == name);
    let split = members.split_last().and_then(|(last, before)| Some((direction(last)?, before)));
    let known = |members: &[String]| -> Result<Path> {
        if is_unknown && members.is_empty() {
            let number = scope.types.structure_number(LIST_HEAD).unwrap_or(0);
            let address = scope.address(one.line, start)?;
            return Ok(Path::of_address(one.line, start, address, TypeName::Number(number)));
        }
        let expression = Expression { start: start.clone(), members: members.to_vec() };
        Path::of_expression(one.line, &expression, scope, None)
    };
    if let Some((direction, before)) = split {
        let path = known(before)?;
        if is_list_head(&path, scope.types)? {
            return Ok((path, direction == 1));
        }
    }
    let mut path = known(members)?;
    if let Shape::Pointer(to) = path.shape(scope.types)? {
        path.follow(to);
    }
    if is_list_head(&path, scope.types)? {
        return Ok((path, false));
    }
    Err(bad(one.line, &format!("{} is not a list head: remove `within`", path.text)))
}

fn is_list_head(path: &Path, types: &Btf<'_>) -> Result<bool> {
    let Shape::Structure(number) = path.shape(types)? else { return Ok(false) };
    Ok(types.structure_number(LIST_HEAD) == Some(number))
}
