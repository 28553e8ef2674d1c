"""What the template says to the person who fills it in, in English and in Korean."""

from __future__ import annotations

HELP_SHEET = "How to fill this in"
KEY_COMMENT = (
    "The data unit that the row is about. Don't change it and don't delete the column.\n"
    "이 행이 설명하는 데이터 유닛입니다. 값을 바꾸거나 열을 지우지 마세요."
)
HELP = (
    ("title", "How to fill this in"),
    ("", "1. One row is one data unit. Leave the column {key} as it is: it says which data unit the row is about."),
    (
        "",
        "2. Fill orange columns (★) in for every data unit: tinted cells are missing. Grey columns may stay empty.",
    ),
    ("", "3. Point at a column's name to see what belongs in it, or read the table below."),
    ("", "4. Where a cell has a list, choose from it. TRUE and FALSE come from a list too."),
    ("", "5. Dates are dates: type 2024-01-19. Several values in one cell: put ; between them."),
    ("", "6. Don't rename columns. You may sort and filter rows, and delete columns that you leave empty."),
    ("", "7. Save it as .xlsx, and hand it back: plan_upload with --excel and this file."),
    ("", ""),
    ("title", "작성 방법"),
    ("", "1. 한 행이 데이터 유닛 하나입니다. {key} 열은 어느 데이터 유닛인지 나타내므로 바꾸지 마세요."),
    (
        "",
        "2. 주황색 열(★)은 모든 데이터 유닛에 채워야 합니다(색이 있는 셀은 미입력). 회색 열은 비워도 됩니다.",
    ),
    ("", "3. 열 이름에 마우스를 올리면 무엇을 써야 하는지 보입니다. 아래 표에도 있습니다."),
    ("", "4. 목록이 있는 셀은 목록에서 고르세요. TRUE와 FALSE도 목록에 있습니다."),
    ("", "5. 날짜는 2024-01-19처럼 쓰세요. 한 셀에 값이 여러 개면 ; 로 구분하세요."),
    ("", "6. 열 이름은 바꾸지 마세요. 행 정렬과 필터는 괜찮고, 비워 둘 열은 지워도 됩니다."),
    ("", "7. .xlsx로 저장한 뒤 plan_upload의 --excel에 이 파일을 지정하세요."),
)
TABLE = ("Column · 열", "Needed? · 필수 여부", "What belongs in it · 입력할 내용", "About · 설명")
