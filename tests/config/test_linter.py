"""What strangers may hear names no condition, no treatment and no patient (REQ-Q3), and ordinary texts pass."""

from __future__ import annotations

import pytest
from config.trees import changed, demo, errors_of
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.linter import lint

HARMLESS = """
Flu shots are here. You can get yours at any visit, without an appointment.
Did you know? You can ask for refills and see your visits in our patient portal.
Please let us know one day ahead if you cannot make your appointment.
Thank you for holding. Your call is important to us and will be answered in the order it was received.
Please have your insurance card and your date of birth ready.
We are welcoming new patients. Ask us how to transfer your records.
Our office will be closed on Thursday, November 26, for Thanksgiving.
For prescription refills, please call your pharmacy first. They will send us a request.
If you are calling about your test results, press 3.
For your lab results, press 4, or look in the patient portal.
Our nurses return calls before five o'clock on the same day.
Please arrive fifteen minutes early to fill in your forms.
Parking is free behind the building. The elevator is to the left of the entrance.
We now offer video visits. Ask the front desk whether one is right for you.
COVID-19 vaccines are available on Wednesdays.
School and sports physicals are available all summer.
Please bring a list of the medicines you take to each visit.
Dr. Williams and Dr. Patel are accepting new patients.
To reach Dr. O'Neil's assistant, press 2.
Hearing aids and batteries can be picked up at the front desk.
Our hearing aids come with a trial period.
We accept most insurance plans. A plan brochure is at the desk.
Payment is due at the time of your visit. We take cards, checks and cash.
If this is a medical emergency, hang up and dial 911.
Please wear a mask if you have a cough or a fever.
Your teeth cleaning is due every six months.
Ask about our whitening and clear aligners.
Children's eye exams are available on Saturdays.
Our billing team can help you with payment plans and with financial aid.
This aids us in giving you better care.
Don't miss Monday's open house from four to six.
Miss Monday's open house? There is another one in May.
Wash your hands. Stay home when you are sick.
Patient forms can be found on our website.
We are moving! From June 1 you will find us at 12 Oak Street.
Press A or B, or stay on the line.
Annual wellness visits are covered by most plans. Book yours today.
Your appointment with Dr. Lee can be changed online.
Ask our staff for an interpreter. It costs you nothing.
The results of our patient survey are on the website. Thank you!
Our stop and drop box is beside the pharmacy window.
Physical therapy has moved to the second floor.
""".strip().splitlines()

REFUSED = """
Ask us about our new HIV clinic.
H.I.V. testing is available.
Free h i v tests on Friday.
Our AIDS support group meets on Tuesday.
STDs can be treated. Ask your provider.
Are you living with diabetes? We can help.
Diabetics welcome on Tuesdays.
Learn to live with Alzheimer's.
Do you suffer from high-blood-pressure?
New: treatment for high  blood   pressure.
Cancer screenings are available.
Skin cáncer checks in May.
Ca\u200bncer checks in May.
CANCER. Know the signs.
If you are pregnant, tell the nurse.
Ask about our pregnancies class.
Depression is treatable.
Anxiety and panic attacks: ask us.
We offer erectile dysfunction treatment.
Our substance\u2011abuse program has openings.
Substance use disorder counselling is confidential.
Medication-assisted treatment with Suboxone.
Methadone is given from 6 to 9.
Chemotherapy patients, please use the north door.
Dialysis patients enter through the back.
Ask about Botox.
Colonoscopies are scheduled on the second floor.
Biopsy results take five days.
Birth-control refills can be ordered online.
Now offering Ozempic and Wegovy.
Ask us about vasectomies.
Psychiatric medication checks by video.
Your test results are ready.
Your recent lab results have arrived. Call us.
You tested positive. Please call.
Your diagnosis is in the portal.
Your prescription for Lipitor is ready.
Mr. Smith, please call the front desk.
MRS. GARCIA IS ASKED TO CALL BACK.
Ms O'Brien, your ride is here.
This message is for John Smith.
Patient Jane Doe may pick up her chart.
Reminder for Maria J. García: be here at ten.
The refill for Peter Jones has been sent.
""".strip().splitlines()


@pytest.mark.parametrize("text", HARMLESS)
def test_an_ordinary_text_passes(text: str) -> None:
    assert lint(text) == []


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_tells_too_much_is_refused_with_the_reason(text: str) -> None:
    findings = lint(text)
    assert findings, text
    for finding in findings:
        assert finding.words and finding.why and finding.mend


def test_there_are_forty_of_each() -> None:
    assert min(len(HARMLESS), len(REFUSED)) >= 40


def test_findings_come_in_the_order_of_the_text() -> None:
    words = [finding.words for finding in lint("Mr. Smith has cancer and takes insulin.")]
    assert words == ["Mr. Smith", "cancer", "insulin"]


WORDS = ["hepatitis", "birth control", "colonoscopy", "eating disorder", "metformin"]
INVISIBLE = st.sampled_from(["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff", "\u00ad", "\u0301", "\u0308"])
BLANKS = st.sampled_from([" ", "  ", "\u00a0", "\u2003", "\t", "\n", "-", "\u2011", "\u2013"])


@given(st.sampled_from(WORDS), st.data())
def test_no_disguise_hides_a_word(word: str, data: st.DataObject) -> None:
    """Blanks of other kinds, hyphens, invisible characters, accents, capitals: the ear hears the same word."""
    spelled = ""
    for char in word:
        if char == " ":
            spelled += data.draw(BLANKS)
        else:
            spelled += char.upper() if data.draw(st.booleans()) else char
            spelled += data.draw(INVISIBLE) if data.draw(st.booleans()) else ""
    assert lint(f"Ask us about {spelled} today."), ascii(spelled)


@given(st.text(max_size=80))
def test_the_linter_reads_any_text(text: str) -> None:
    for finding in lint(text):
        assert finding.words


def test_the_practices_own_name_is_no_finding_but_the_word_alone_is() -> None:
    name = "Springfield Cancer Center"
    assert lint(f"You have reached {name}.", name) == []
    assert lint(f"You have reached {name}. Do you have cancer?", name)
    assert lint(f"You have reached {name}.")


@pytest.mark.parametrize(
    "path",
    [("menus", "night", "greeting"), ("mailboxes", "nurses", "greeting"), ("messages", "flu", "text")],
    ids=["greeting", "mailbox", "hold message"],
)
def test_every_text_a_caller_hears_is_checked(path: tuple[str, ...]) -> None:
    (problem,) = errors_of(changed(path, "Our cancer patients are dear to us."))
    assert problem.where == ".".join(path)
    assert "illness" in problem.what
    assert problem.value == "'cancer'"
    assert problem.mend


def test_a_practice_may_greet_with_its_name() -> None:
    tree = changed(("clinic", "name"), "Oak Street Diabetes Center", demo())
    tree = changed(("menus", "night", "greeting"), "You have reached Oak Street Diabetes Center. We are closed.", tree)
    assert errors_of(tree) == []
