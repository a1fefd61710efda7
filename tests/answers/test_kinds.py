r"""Right and wrong answers by kind: what a reply says, the gold, and whether it is right."""

import pytest

from benchmarks.answers import LAYOUTS, NEAR_MISSES
from rim_eval.answers import check_answer

COLUMN = r"\begin{pmatrix} 3 \\ -1/2 \\ 8 \end{pmatrix}"

KINDS: dict[str, list[tuple[str, str, bool]]] = {
    "matrices": [
        (r"\boxed{\begin{pmatrix}3\\-1/2\\8\end{pmatrix}}", COLUMN, True),
        (r"\boxed{\begin{bmatrix} 3 \\ -0.5 \\ 8 \end{bmatrix}}", COLUMN, True),
        ("\\boxed{\\begin{pmatrix}\n3 \\\\\n-\\frac12 \\\\\n8\n\\end{pmatrix}}", COLUMN, True),
        (r"\boxed{\left(\begin{array}{c}3\\-\frac{1}{2}\\8\end{array}\right)}", COLUMN, True),
        (r"\boxed{\begin{pmatrix} 3 \\[4pt] -1/2 \\[4pt] 8 \\ \end{pmatrix}}", COLUMN, True),
        (r"The answer is $\begin{pmatrix}3\\-1/2\\8\end{pmatrix}$.", COLUMN, True),
        (r"\boxed{\begin{pmatrix}3\\1/2\\8\end{pmatrix}}", COLUMN, False),
        (r"\boxed{\begin{pmatrix}3&-1/2&8\end{pmatrix}}", COLUMN, False),
    ],
    "thousands": [
        (r"The answer is $12\,345$.", "12345", True),
        (r"The answer is $12{,}345.", "12345", True),
        (r"\boxed{\$12{,}345.50}", "12345.5", True),
        (r"\boxed{12\ 345}", "12345", True),
        (r"\boxed{12~345}", "12345", True),
        (r"\boxed{12345}", r"12,\!345", True),
        ("They sold 1 234 567 pins.", "1234567", True),
        ("The answer is 12\u202f345.", "12345", True),
        ("The answer is 12\u2009345.", "12", False),
        ("The answer is 12 345.", "345", False),
        (r"\boxed{(1,234)}", "1234", False),
        ("In all there are 3 boxes of 250 pins.", "3250", False),
        ("The total is 1,234 dollars", "1234", True),
    ],
    "mixed numbers": [
        ("The answer is 2 3/4.", "2.75", True),
        ("It takes -2 3/4 turns.", "-2.75", True),
        ("It takes 2¾ cups.", "2.75", True),
        (r"\boxed{2\tfrac{3}{4}}", r"\frac{11}{4}", True),
        (r"\boxed{9/5}", r"1\frac{4}{5}", True),
        (r"\boxed{2\cdot\frac{3}{4}}", "2.75", False),
        ("The answer is 2 3/4.", "2", False),
    ],
    "several boxes": [
        (r"$\boxed{1}$ and $\boxed{-2}$", "1,-2", True),
        (r"$\boxed{5}$, $\boxed{6}$ and $\boxed{9}$", "5, 6, 9", True),
        (r"$\boxed{3}\text{ and }\boxed{4}$", "3,4", True),
        (r"\[\boxed{3} \quad \text{or} \quad \boxed{4}\]", "4,3", True),
        (r"$\boxed{3}\text{ and }\boxed{4}$", "4", False),
        (r"\boxed{3}, \boxed{18}", "18", False),
        (r"\boxed{3 \text{ and } 4}", "3,4", True),
        (r"\boxed{3} no, wait: \boxed{4}", "4", True),
        (r"\boxed{3} no, wait: \boxed{4}", "3", False),
        (r"\boxed{4} and then \boxed{unfinished", "4", True),
        (r"\boxed{18} as asked, inside \boxed{}.", "18", True),
        (r"\boxed{\boxed{18}}", "18", True),
    ],
    "the later answer": [
        (r"So $\boxed{12}$. Wait, one is missing. The final answer is 13.", "13", True),
        (r"So $\boxed{12}$. Wait, one is missing. The final answer is 13.", "12", False),
        (r"The answer is 12. But then $\boxed{13}$.", "13", True),
        ("\\boxed{12}\n\nThe answer is correct.", "12", True),
        ("The answer is 18.\n#### 20", "20", True),
        ("#### 12\nSorry, the answer is 13.", "13", True),
        ("#### 18\n#### Check\nAll 3 steps hold.", "18", True),
    ],
    "another problem after the answer": [
        ("4 + 4 = 8\n#### 8\n\nQuestion: And 2 more?\nAnswer: 10\n#### 10", "8", True),
        ("The answer is 8.\n\nQ: And 2 more?\nA: The answer is 10.", "8", True),
        ("\\boxed{8}\n\nProblem: And 2 more?\n\\boxed{10}", "8", True),
        ("Question: How many?\nAnswer: 8", "8", True),
    ],
    "what a sentence announces": [
        ("The answer: the total number of $n$ is $12$.", "12", True),
        ("Answer: the value of $x$ is 7.", "7", True),
        ("Final answer: The remainder when $2^{10}$ is divided by $7$ is $2$.", "2", True),
        ("The total number of $n$ is $12$", "n", False),
        ("The answer is therefore $18$ because $x=2$.", "18", True),
        ("The answer is 5 + 3 = 8 apples.", "8", True),
        ("answer: 18\nExplanation: 3*6=18, not 20.", "18", True),
        ("The answer is x = 5 or x = 7.", "7", False),
        ("The answer is 3 or 18.", "18", False),
        ("The answer is between 3 and 18.", "18", False),
        ("The answer is 5-3.", "3", False),
        ("The answer is 12 (twelve).", "12", True),
        ("There are 40 red and 2 blue. The answer is forty-two.", "2", False),
        ("The answer is 18. The answer is clearly correct: 3 days pay 6 dollars each.", "18", True),
        ("The answer is\n\\[\n\\frac{3}{4}\n\\]\nThis took 3 steps.", "0.75", True),
    ],
    "headings": [
        ("#### Final Answer\n\nShe makes 18 dollars.\n\nThat took 3 days.", "18", True),
        ("✅ **Final Answer:** 41 ✅", "41", True),
        ("**Final answer:**\n18", "18", True),
        ("### Answer\n\n18\n\nNote that 3 were eaten.", "18", True),
        ("#### Step 2\n6 * 7 = 42", "42", True),
        ("#### 2. Add them up\nThere are 42 marbles.", "42", True),
        ("##### 3\nSo there are 42.", "42", True),
        ("#### p - q", "p-q", True),
        (r"#### \frac{\pi}{2}", r"\pi/2", True),
    ],
    "the end of a reply": [
        ("They have 7 pins in total, altogether.", "7", True),
        ("It fell to -18.", "-18", True),
        ("so it's $18!", "18", True),
        ("$5 and $3 make $8", "8", True),
        ("It is 5 more than 7, so 12", "12", True),
        ("She has 18 apples (9 + 9).", "18", True),
        ("答案：18元", "18", True),
        ("COVID-19", "-19", False),
        ("I cannot help with that.", "5", False),
        ("", "5", False),
    ],
    "malformed or near": [
        (r"\boxed{4\sqrt(2)}", r"4\sqrt2", True),
        *(
            (rf"\boxed{{{text}}}", "4", False)
            for text in (
                r"4\sqrt(2)",
                "4)",
                "4@5",
                r"4\foo",
                "4 0",
                "4^",
                "4+",
                r"4\pi",
                "4x",
                "4!",
                "4i",
                r"4 \ldots",
                r"4\frac{1}",
                "(4,5)",
                "4.01",
                "-4",
                "[4",
            )
        ),
        (r"\boxed{4 5}", "9", False),
        (r"\boxed{5t}", "5", False),
        (r"\boxed{5xy}", "5", False),
        (r"\boxed{3x}", "3x", True),
    ],
    "digits in a loop are wrong, not unscored": [
        (rf"\boxed{{{'3' * 500}}}", "3", False),
        (f"The answer is {'18' * 260}.", "18", False),
        (f"1/3 = 0.{'3' * 600}", "3", False),
        (rf"\boxed{{{'18' * 60}}}", "18", False),
    ],
    "words": [
        ("the answer is Evelyn.", r"\text{Evelyn}", True),
        ("The answer is Evelyn, who ran 5 km.", r"\text{Evelyn}", True),
        ("The answer is Evelyn. The answer is consistent.", r"\text{Evelyn}", True),
        ("#### Conclusion\n\nThe answer is Evelyn.", r"\text{Evelyn}", True),
        ("#### Evelyn", r"\text{Evelyn}", True),
        (r"\boxed{2\text{ Evelyn}}", r"\text{Evelyn}", False),
        (r"\boxed{-\text{east}}", r"\text{east}", False),
        (r"\boxed{\text{east 5}}", r"\text{east}", False),
        ("The answer is even or odd.", r"\text{even}", False),
        ("**Yes**", "Yes", True),
        ("The answer is no.", "No", True),
        (r"\boxed{\textbf{(C)}}", r"\text{(C)}", True),
        (r"\boxed{\text{(C) }12}", r"\text{(C)}", True),
        ("The answer is D.", r"\text{(C)}", False),
        (r"\boxed{3C}", "C", False),
    ],
    "decimals are exact": [
        (r"\boxed{0.75}", r"\frac{3}{4}", True),
        (r"\boxed{6.72\times10^{-5}}", ".0000672", True),
        (r"\boxed{0.333333}", r"\frac13", False),
        (r"\boxed{.0000673}", ".0000672", False),
        (r"\boxed{1.414214}", r"\sqrt2", False),
        (r"\boxed{\frac{1}{2^{60}}}", r"\frac{1}{2^{61}}", False),
        (r"\boxed{1-2^{-70}}", "1", False),
        (r"\boxed{2^{-40}}", r"\frac{1}{2^{40}}", True),
    ],
    "percent": [
        (r"\boxed{50\%}", "50", True),
        (r"\boxed{50\%}", "0.5", True),
        (r"\boxed{50\%}", r"\frac12", True),
        ("The answer is 50%.", r"50\%", True),
        (r"\boxed{50\%}", r"0.5\%", False),
        (r"\boxed{5\%}", "0.5", False),
    ],
    "clock times, ratios, bases": [
        (r"\boxed{6:30}", "3:15", False),
        (r"\boxed{12:00}", "12:00", True),
        (r"\boxed{06:30}", "6:30", True),
        ("The answer is 6:30 p.m.", "6:30 PM", True),
        (r"\boxed{6:30\text{ am}}", "6:30 pm", False),
        (r"\boxed{6:8}", "3:4", True),
        ("The ratio is 3 : 4.", "3:4", True),
        (r"\boxed{52_{8}}", "52_8", True),
        (r"\boxed{52}", "52_8", True),
        (r"\boxed{52_9}", "52_8", False),
        (r"\boxed{52_8}", "52", False),
    ],
    "sets, points, intervals": [
        (r"\boxed{-2, 1}", "1,-2", True),
        (r"\boxed{b=1 \text{ or } b=-2}", "1,-2", True),
        (r"\boxed{m = 1, 2, 3}", "m = 2, 3, 4", False),
        (r"\boxed{\pm 5}", "5", False),
        (r"\boxed{-5, 5}", r"\pm 5", True),
        (r"\boxed{(4,2)}", "(2,4)", False),
        (r"\boxed{[2,4]}", "(2,4)", False),
        (r"\boxed{\{2,4\}}", "(2,4)", False),
        (r"\boxed{[8,-2]}", "(8,-2)", False),
        ("The answer is (3,4].", "(3,4]", True),
        (r"\boxed{(0, 1.5)}", "(0,1)", False),
        (r"\boxed{x \in [-2,7]}", "[-2,7]", True),
        (r"\boxed{5<x}", "x>5", True),
        (r"\boxed{x\ge5}", "5", False),
        (r"\boxed{x \le 3}", r"(-\infty, 3]", True),
        (r"\boxed{1 < x < 3}", "(1,3)", True),
        (r"\boxed{1 < x \le 3}", "(1,3)", False),
        (r"\boxed{\varnothing}", r"\emptyset", True),
    ],
    "equations": [
        (r"\boxed{5}", "x=5", True),
        (r"\boxed{2x+3}", "y = 2x + 3", True),
        (r"\boxed{2x-y+3=0}", "y=2x+3", True),
        (r"\boxed{2x - y + 3 = 0}", "2x+y+3=0", False),
        (r"\boxed{2x - y + 3 = 0}", "0", False),
        (r"\boxed{m+n=42}", "42", True),
        (r"\boxed{f(3) = 6\cdot7 = 42}", "42", True),
        (r"The answer is $\frac{36}{2}$", "18", True),
        (r"The answer is \(x = 5\).", "5", True),
        (r"\boxed{70\cdot\sqrt{2}}", r"70 \sqrt{2}", True),
        (r"\boxed{ab+2a+5b+10}", "(a+5)(b+2)", True),
    ],
    "units": [
        (r"\boxed{12\,\text{cm}^2}", "12", True),
        (r"\boxed{864 \mbox{ inches}^2}", "864", True),
        (r"\boxed{18\,\mathrm{m}\,\mathrm{s}^{-1}}", "18", True),
        ("The area is 12 square meters", "12", True),
        ("It is about 5 m", "5", True),
        (r"\boxed{90°}", r"90^\circ", True),
        (r"\boxed{2x\text{ cm}}", "2x", True),
        (r"\boxed{3\text{ dozen}}", "3", True),  # GSM8K asks "how many dozens"
        (r"\boxed{3\text{ dozen}}", "36", False),
        (r"It costs \$18.", "18", True),
    ],
    "words that multiply": [
        ("The answer is $5$ million.", "5000000", True),
        (r"\boxed{10\text{ million}\text{ dollars}}", "10000000", True),
        (r"\boxed{2.5 hundred thousand}", "250000", True),
        ("5万元", "50000", True),
        ("The answer is **5** million.", "5", False),
        (r"\boxed{10\text{ million}}", "10", False),
    ],
    "bounds": [
        ("The answer is less than **5**.", "5", False),
        ("The answer is greater than or equal to 5.", "5", False),
        (r"The answer is less than $\frac{1}{2}$.", r"\frac12", False),
        (r"\boxed{\text{less than }5}", "5", False),
        (r"\boxed{5\text{ or more}}", "5", False),
        ("There are 7. The answer is less than 5.", "7", False),
        ("The answer is 4. So the answer is less than 5.", "4", True),
        ("She has 12 apples, which is less than 15.", "12", True),
        ("She needs at least 5 buses.", "5", True),
    ],
    "numbers": [
        (r"\boxed{007}", "7", True),
        ("It went down by 5.", "It went from 2 to -3.\n#### -3", False),
        ("It is now -3.", "It went from 2 down by 5.\n#### -3", True),
        ("answer: −7", "-7", True),
        ("Answer – 7", "7", True),
        ("The price is $7.00.", "7", True),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_of_each_kind_are_checked_rightly(kind: str) -> None:
    checks = [(check_answer(reply, gold), reply, gold, right) for reply, gold, right in KINDS[kind]]
    assert [row for row in checks if row[0].correct is not row[3]] == []


GOLDS = [r"\begin{pmatrix} 1 & -1/2 \\ 0 & 3 \end{pmatrix}", r"\left( 2, \frac{\pi}{3} \right)", "12345", r"\frac{2}{3}\sqrt{5}", r"1 \pm \sqrt{7}", r"y = 3x - 1", r"\text{west}", r"(-\infty, 4]", r"-\frac{3}{8}"]  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_layout_changes_a_verdict(layout: str) -> None:
    checks = [(check_answer(LAYOUTS[layout](gold), gold), gold) for gold in GOLDS]
    assert [row for row in checks if row[0].correct is not True] == []


@pytest.mark.parametrize("change", NEAR_MISSES)
def test_near_misses_are_wrong(change: str) -> None:
    near = [(NEAR_MISSES[change](gold), gold) for gold in GOLDS]
    checks = [
        (check_answer(rf"\boxed{{{said}}}", gold), gold) for said, gold in near if said != gold
    ]
    assert [row for row in checks if row[0].correct is not False] == []
