"""How often the page is drawn, and how much is in it, while much arrives."""

from typing import TYPE_CHECKING

from serving import Account
from waiting import until

if TYPE_CHECKING:
    from browsing import Watched

COUNT = """
  window.redraws = []; window.rows = [];
  let changes = 0;
  const list = document.querySelector(".rows");
  new MutationObserver(() => { changes += 1; }).observe(list, { childList: true });
  const frame = () => {
    if (changes) { window.redraws.push(changes); window.rows.push(list.children.length); }
    changes = 0;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
"""


def test_the_list_is_drawn_at_most_once_a_frame_and_has_at_most_500_rows(tab: "Watched", account: Account) -> None:
    account.track(event="First", userId="u")
    tab.open()
    tab.page.locator(".rows .title", has_text="First").wait_for()
    tab.page.evaluate(COUNT)
    for part in range(3):
        rows = [
            {"event": f"Row {part}-{number}", "userId": "u", "distinctId": f"{part}-{number}"} for number in range(400)
        ]
        assert account.batch(*rows).status_code == 200
    for number in range(100):
        account.track(event=f"Single {number}", userId="u")
    tab.page.locator(".rows .title", has_text="Single 99").wait_for()
    until(lambda: tab.page.evaluate("window.rows.at(-1)") == 500)
    # Observers are called after each redraw, so more than one of them in a frame would be counted.
    assert set(tab.page.evaluate("window.redraws")) == {1}
    assert max(tab.page.evaluate("window.rows")) == 500
    assert tab.page.locator(".rows li").count() == 500
