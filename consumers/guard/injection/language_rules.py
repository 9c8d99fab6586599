"""Rules for other languages: one verb of ignoring, one noun of instructions, and requests for the prompt itself.

English rules miss these texts completely, and the models that read them do not.
"""

from __future__ import annotations

from typing import Final

from consumers.guard.injection.rule import Rule, rules

_GAP: Final = r"(?:[\s,]+[\pL\pM'’]+){0,5}?[\s,]+"
_NEAR: Final = r".{0,14}?"

_OVERRIDE: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        (
            rf"\b(?:ignorier\w*|vergiss|vergesst|vergessen|missachte\w*|überschreib\w*|verwirf|verwerfe|umgeh\w*|übergeh\w*"
            rf"|beachte nicht|lass|lasse|widersetz\w* dich|lösche|setz\w*){_GAP}(?:\pL*anweisung\pL*|\pL*instruktion\pL*"
            rf"|\pL*vorgaben|\pL*befehl\pL*|\pL*richtlinie\pL*|\pL*regeln|\pL*aufträge|\pL*aufgaben|\pL*prompts?|\pL*direktive\pL*"
            rf"|\pL*protokolle?|\pL*programmierung|\pL*beschränkungen)"
        ),
        (
            r"\bvergiss (?:alles|alle|den text|was)\b.{0,60}\b(?:davor|zuvor|vorher|bisher\pL*|oben|gesagt|gelernt|vorherige\pL*"
            r"|gegeben\pL*)"
        ),
    ),
    "fr": (
        (
            r"\b(?:ignor\pL+|oubli\pL+|néglig\pL+|outrepass\pL+|contourn\pL+|fais abstraction|faites abstraction"
            r"|ne (?:tiens|tenez) pas compte|ne (?:suis|suivez) (?:pas|plus)|abandonn\pL+|désobéi\pL+|écart\pL+|transgress\pL+"
            r")(?:[\s,]+[\pL\pM'’]+){0,3}?[\s,]+(?:les|tes|vos|ces|mes|toutes|tous|nos|ton|votre|cette|aux|des|de|du|la|le|ta)(?:[\s,]+[\pL\pM'’]+){0,2}?[\s,]+(?:instructions?|consignes?|directives?|règles?|ordres?|invites?|commandes?|protocoles?|prompts?"
            r"|lignes directrices|limites|programmation|paramètres|formation)"
        ),
        r"\boublie(?:z)? (?:tout|toutes|ce qui|ce que)\b.{0,50}\b(?:précèd\pL*|précéd\pL*|avant|dit|dessus|appris)",
    ),
    "es": (
        (
            rf"\b(?:ignor[ae]\pL*|olvid[ae]\pL*|olvíd\pL+|omit[ae]\pL*|descart[ae]\pL*|desobede\pL+|desatiend\pL+|pas[ae] por alto"
            rf"|no sigas|haz caso omiso|haga caso omiso|abandon[ae]\pL*|anul[ae]\pL*|salt[ae]te|sorte[ae]|desestim[ae]\pL*"
            rf"){_GAP}(?:instrucci\pL+|órdenes|directrices|directivas|reglas|indicaciones|normas|pautas|comandos|protocolos?"
            rf"|programación|restricciones|entrenamiento)"
        ),
        r"\bolvid[ae]\pL* (?:todo|todas|lo que|cuanto)\b.{0,50}\b(?:anterior\pL*|antes|dicho|arriba|aprendi\pL+|previ\pL+)",
    ),
    "it": (
        (
            rf"\b(?:ignor[ai]\pL*|dimentic\pL+|trascur\pL+|scart[ai]\pL*|disobbedi\pL+|non seguire|non considerare|tralascia"
            rf"|abbandon[ai]\pL*|annulla|aggir[ai]\pL*|supera|lascia perdere){_GAP}(?:istruzion\pL+|ordini|direttiv\pL+|regol\pL+"
            rf"|indicazioni|comand\pL+|linee guida|prompt|protocoll\pL+|programmazione|procedure|restrizioni|addestramento)"
        ),
        r"\bdimentic\pL+ (?:tutto|tutte|quello|ciò|quanto)\b.{0,50}\b(?:precedent\pL+|prima|detto|sopra|imparato)",
    ),
    "pt": (
        (
            rf"\b(?:ignor[ae]\pL*|esque[çc]\pL+|desconsider[ae]\pL*|descart[ae]\pL*|desobede[çc]\pL+|negligenci\pL+|abandon[ae]\pL*"
            rf"|não sigas?|não siga|anul[ae]\pL*|ultrapass[ae]\pL*|contorn[ae]\pL*){_GAP}(?:instruç\pL+|ordens|diretrizes"
            rf"|diretivas|regras|orientações|comandos?|protocolos?|programação|restrições|treinamento|treino"
            rf"|diretriz|normas)"
        ),
        r"\besque[çc]\pL+ (?:tudo|todas?|o que)\b.{0,50}\b(?:anterior\pL*|antes|disse|acima|aprendeu)",
    ),
    "nl": (
        (
            rf"\b(?:negeer|vergeet|sla|omzeil|overschrijf|verwaarloos|volg niet|laat|wis|veronachtzaam){_GAP}(?:\pL*instructies?"
            rf"|\pL*opdracht(?:en)?|\pL*regels|\pL*richtlijnen|\pL*aanwijzingen|\pL*bevelen|prompts?|beperkingen)"
        ),
        r"\bvergeet (?:alles|alle|wat)\b.{0,50}\b(?:hiervoor|eerder\pL*|vorige|boven|gezegd)",
    ),
    "pl": (
        (
            rf"(?:^|[^\pL])(?:zignoruj\pL*|ignoruj\pL*|zapomnij\pL*|pomiń\pL*|odrzuć\pL*|nie stosuj się do|nie przestrzegaj|obejdź"
            rf"|zlekceważ|nadpisz|porzuć){_GAP}(?:instrukcj\pL+|polece\pL+|wytyczn\pL+|zasad\pL*|reguł\pL*|rozkaz\pL+|dyrektyw\pL*"
            rf"|prompt\pL*|ogranicze\pL+)"
        ),
        r"(?:^|[^\pL])zapomnij\pL* (?:o )?(?:wszyst\pL+|tym)\b.{0,50}(?:wcześniej\pL*|poprzedni\pL*|powyż\pL*|powiedzia\pL+)",
    ),
    "tr": (
        (
            r"(?:talimat|yönerge|komut|emir|kural|direktif|istem|kısıtlama|prompt)\pL*(?:[\s,]+\pL+){0,4}?[\s,]+"
            r"(?:görmezden gel|yok say|unut|dikkate alma|göz ardı et|boş ver|önemseme|uyma|geçersiz kıl|iptal et|atla)\pL*"
        ),
        (
            r"(?:görmezden gel|yok say|unut|dikkate alma)\pL*(?:[\s,]+\pL+){0,4}?[\s,]+(?:önceki|yukarıdaki|tüm)?\s*"
            r"(?:talimat|yönerge|komut|kural)\pL+"
        ),
    ),
    "ru": (
        (
            rf"(?:игнорируй|проигнорируй|игнорировать|забудь|забыть|отбрось|пренебреги|не обращай внимания на|не следуй|обойди"
            rf"|отмени|пропусти|не учитывай|нарушь|удали|сбрось)\pL*{_GAP}(?:инструкц\pL+|указани\pL+|команд\pL*|правил\pL*"
            rf"|директив\pL*|распоряжени\pL+|промпт\pL*|ограничени\pL+|приказ\pL*|установк\pL+|запрос\pL*)"
        ),
        (
            r"(?:забудь|забудьте)\s+(?:обо?\s+)?(?:вс[её]м?|то|что)\b?.{0,50}(?:раньше|выше|ранее|предыдущ\pL+|до этого|сказал\pL*"
            r"|говорил\pL*)"
        ),
    ),
    "uk": (
        (
            rf"(?:ігноруй|проігноруй|забудь|відкинь|не зважай на|не дотримуйся|обійди|скасуй)\pL*{_GAP}"
            rf"(?:інструкці\pL+|вказів\pL+|команд\pL*|правил\pL*|директив\pL*|наказ\pL*|обмежен\pL+)"
        ),
    ),
    "ar": (
        (
            rf"(?:تجاهل|تجاهلي|تجاهلوا|انس[َىي]?|انسى|إنسى|اهمل|أهمل|تخط[َىي]?|لا تتبع|تجاوز|ألغ|الغ)\pL*{_GAP}?"
            rf".{{0,20}}?(?:التعليمات|تعليمات|الأوامر|أوامر|القواعد|قواعد|الإرشادات|إرشادات|التوجيهات|توجيهات|القيود|تعليماتك)"
        ),
        r"(?:انس|انسى|إنسى) (?:كل|جميع) .{0,30}(?:سبق|السابق\pL*|قبل|أعلاه|قلته|قيل)",
    ),
    "he": (r"(?:התעלם|התעלמי|תתעלם|שכח|תשכח|הפר).{0,24}?(?:ההוראות|הוראות|ההנחיות|הנחיות|הכללים|הפקודות)",),
    "fa": (r"(?:دستور|دستورالعمل|قوانین|راهنما).{0,30}?(?:نادیده بگیر|فراموش کن|را رد کن)",),
    "hi": (
        (
            r"(?:निर्देश|आदेश|नियम|हिदायत|दिशानिर्देश|दिशा-निर्देश|प्रॉम्प्ट|कमांड)[\pL\pM]*.{0,40}?(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|नज़रअंदाज|भूल"
            r"|उपेक्षा|अनदेखी|न मान)"
        ),
        r"(?:अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल)[\pL\pM]*.{0,40}?(?:निर्देश|आदेश|नियम|हिदायत)",
        r"(?:पिछल|पहले)[\pL\pM]*.{0,20}?(?:सब कुछ|सभी|सारी बातें).{0,20}?(?:भूल|अनदेखा)",
    ),
    "zh": (
        (
            rf"(?:忽略|无视|無視|忘记|忘記|忘掉|不要理会|不要理會|不要遵守|不要遵循|不再遵守|绕过|繞過|抛弃|丢弃|违反|不用管|别管|跳过)"
            rf"{_NEAR}(?:指令|指示|提示|命令|规则|規則|指导|指導|说明|說明|要求|设定|設定|限制|准则|準則|约束|系统消息)"
        ),
        r"(?:忘记|忘記|忘掉|忽略).{0,8}(?:之前|以上|前面|上面|先前|此前).{0,10}(?:一切|所有|全部|内容|說|说|话)",
    ),
    "ja": (
        (
            r"(?:指示|命令|ルール|規則|プロンプト|ガイドライン|指令|制限|制約|設定|説明|指図).{0,16}?(?:無視|忘れ|破棄|従わな|取り消|無効|上書き|逆ら|破っ"
            r"|リセット|解除)"
        ),
        r"(?:これまで|今まで|上記|以前|前|先)の.{0,12}?(?:内容|会話|話|こと|すべて|全て).{0,8}?(?:無視|忘れ)",
    ),
    "ko": (
        r"(?:지시|명령|지침|규칙|프롬프트|지시사항|설정|제한|가이드라인|정책)\pL*.{0,16}?(?:무시|잊어|잊으|따르지|취소|무효|어기|우회|해제|삭제)",
        r"(?:이전|위|앞|지금까지)\pL*\s?.{0,14}?(?:내용|대화|모든 것|전부|말)\pL*.{0,8}?(?:무시|잊어|잊으)",
    ),
    "vi": (
        r"\b(?:bỏ qua|quên|phớt lờ|lờ đi|không tuân)\b.{0,30}?(?:hướng dẫn|chỉ dẫn|lệnh|quy tắc|chỉ thị|yêu cầu|mọi thứ)",
    ),
    "id": (
        r"\b(?:abaikan|lupakan|hiraukan|langgar)\b.{0,30}?(?:instruksi|perintah|aturan|petunjuk|arahan|pedoman|semua yang)",
    ),
    "sv": (
        (
            rf"\b(?:ignorera|glöm|bortse från|strunta i|förbise){_GAP}(?:\pL*instruktion\pL*|\pL*anvisning\pL*|\pL*regler\pL*"
            rf"|\pL*order|\pL*riktlinjer\pL*|\pL*kommando\pL*|allt)"
        ),
    ),
    "cs": (
        rf"(?:ignoruj|zapomeň|zapomeňte|opomiň|nedbej|přepiš)\pL*{_GAP}(?:instrukc\pL+|pokyn\pL*|příkaz\pL*|pravid\pL+)",
    ),
    "ro": (
        rf"\b(?:ignor[aă]\pL*|uit[aă]\pL*|nesocotește){_GAP}(?:instrucțiun\pL+|instructiun\pL+|ordin\pL*|reguli\pL*)",
    ),
    "th": (r"(?:ละเว้น|เพิกเฉย|ลืม|ไม่ต้องสนใจ|ข้าม).{0,20}?(?:คำสั่ง|คำแนะนำ|กฎ)",),
    "el": (rf"(?:αγνόησε|αγνοήστε|ξέχασε|ξεχάστε|παράβλεψε)\pL*{_GAP}(?:οδηγί\pL+|εντολ\pL+|κανόν\pL+)",),
}

_EXTRACT: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        (r"\b(?:zeig\w*|nenn\w*|gib|gebt|verrat\w*|wiederhol\w*|druck\w*|schreib\w*|offenbar\w*|enthüll\w*|was (?:ist|war|sind"
        r"|waren|lautet) (?:dein|ihr|euer|eure|der)\w*|wie lautet\w*)\b.{0,50}?\b(?:system-?prompt\w*|systemanweisung\w*|ursprüngliche\w* anweisung\w*"
        r"|(?:dein\w*|ihr\w*) (?:\w+ ){0,2}?(?:anweisung\w*|instruktion\w*|prompts?|anfangsbefehl\w*|befehl\w*"
        r"|direktive\w*))"),
    ),
    "fr": (
        (r"\b(?:montr\pL+|affich\pL+|révèl\pL+|répèt\pL+|donn\pL+|dis|dites|imprim\pL+|quell?es? (?:est|était|sont|étaient))"
        r"\b.{0,50}?(?:prompt (?:système|initial|de départ)|invite (?:système|initiale)|message système|instructions? "
        r"(?:système|initiales?|centrales?|d'origine|cachées?|secrètes?|fondamentales?)"
        r"|(?:tes|vos|ton|votre) (?:\pL+ )?(?:instructions?|consignes|directives?|prompt))"),
    ),
    "es": (
        (r"(?:muestr\pL+|muéstr\pL+|revel\pL+|repit\pL+|imprim\pL+|dime|di|dame|cuál(?:es)? (?:es|fue|son|eran|fueron|era))\b"
        r".{0,50}?(?:prompt (?:del sistema|inicial|original)|mensaje (?:del|de) sistema|instrucci\pL+ (?:iniciales?|originales?"
        r"|ocultas?|del sistema|principal|central|secretas?|fundamental)"
        r"|(?:tus|sus|tu|su) (?:\pL+ )?(?:instrucci\pL+|directri\pL+|prompt|indicaciones))"),
    ),
    "it": (
        (r"\b(?:mostr\pL+|rivel\pL+|ripet\pL+|stamp\pL+|dimmi|dammi|qual(?:i|') ?(?:è|era|sono|erano)?|qual è)\b.{0,50}?"
        r"(?:prompt (?:di sistema|iniziale|originale)|messaggio di sistema|istruzion\pL+ (?:iniziali?|originali?|nascoste?"
        r"|di sistema|central\pL|fondamentali?)|comando iniziale"
        r"|(?:tue|tuoi|tua|tuo|vostre) (?:\pL+ )?(?:istruzion\pL+|direttive|prompt))"),
    ),
    "pt": (
        (r"\b(?:mostr\pL+|revel\pL+|repit\pL+|imprim\pL+|divulg\pL+|diga|me dê|dê-me|qual (?:é|era|foi)|quais (?:são|eram"
        r"|foram))\b.{0,50}?(?:prompt (?:do sistema|inicial|original|fundamental)|mensagem d[eo] sistema|instruç\pL+ "
        r"(?:iniciais|inicial|originais|original|ocultas?|do sistema|central|fundamental|secretas?)"
        r"|(?:tuas|suas|teu|seu|tua|sua) (?:\pL+ )?(?:instruç\pL+|diretri\pL+|prompt))"),
    ),
    "nl": ((r"\b(?:toon|laat|geef|herhaal|onthul|print|wat (?:is|was|zijn) (?:je|jouw|uw|jullie))\b.{0,40}?(?:systeemprompt|systeeminstructies?"
           r"|(?:je|jouw|uw) (?:\w+ )?(?:instructies|prompt))"),),
    "pl": ((r"(?:pokaż|ujawnij|powtórz|wypisz|wyświetl|podaj|jaki jest)\b?.{0,40}?(?:prompt systemow\pL*|instrukcj\pL+ systemow\pL*"
           r"|swoj\pL+ (?:\pL+ )?(?:instrukcj\pL+|prompt)|twoj\pL+ (?:\pL+ )?(?:instrukcj\pL+|prompt))"),),
    "tr": ((r"(?:sistem (?:istem|prompt|mesaj|talimat)\pL*|ilk talimat\pL*|gizli talimat\pL*|talimatlarını).{0,40}?"
           r"(?:göster|söyle|yaz|açıkla|tekrarla|ver|paylaş|nedir)"),),
    "ru": ((r"(?:покажи|раскрой|повтори|выведи|напечатай|назови|скажи|какой|какие|напиши)\pL*.{0,40}?(?:системн\pL+ "
           r"(?:промпт\pL*|инструкц\pL+|сообщени\pL+|запрос\pL*|подсказк\pL+)|(?:сво[ией]\pL*|твои|тво[йия]\pL*|ваши) "
           r"(?:\pL+ )?(?:инструкц\pL+|промпт\pL*|указани\pL+))"),),
    "ar": ((r"(?:اعرض|أظهر|اظهر|اكشف|كرر|اطبع|أخبرني|ما هي|ما هو|أعطني).{0,30}?(?:موجه النظام|تعليمات النظام|رسالة النظام|تعليماتك"
           r"|التعليمات الأصلية|التعليمات السرية)"),),
    "hi": (r"(?:सिस्टम प्रॉम्प्ट|सिस्टम निर्देश|अपने (?:मूल |गुप्त |छिपे )?निर्देश|मूल निर्देश).{0,30}?(?:दिखा|बता|प्रकट|दोहरा|लिख|क्या)",),
    "zh": ((r"(?:显示|顯示|告诉|告訴|输出|輸出|打印|重复|重複|透露|泄露|洩露|展示|公开|给我|說出|说出|列出|什么是|写出|复述|揭示).{0,14}?"
           r"(?:系统提示|系統提示|系统指令|系統指令|系统消息|初始提示|初始指令|原始指令|提示词|提示詞|隐藏指令|你的指令|内部指令|你的规则)"),),
    "ja": ((r"(?:システムプロンプト|初期プロンプト|システムメッセージ|隠された指示|元の指示|内部指示|あなたの指示|最初の指示).{0,16}?"
           r"(?:教え|表示|見せ|出力|開示|繰り返|書い|明かし|公開|何)"),),
    "ko": ((r"(?:시스템 ?프롬프트|시스템 ?메시지|초기 ?지시|숨겨진 ?지시|내부 ?지침|원래 ?지시|너의 ?지시|당신의 ?지시)\pL*.{0,16}?"
           r"(?:보여|알려|출력|공개|말해|반복|써|뭐|무엇)"),),
}  # fmt: skip

_FREED: Final[dict[str, tuple[str, ...]]] = {
    "de": (
        r"\b(?:du bist|sie sind) (?:jetzt|nun|ab jetzt|ab sofort)\b",
        (
            r"\b(?:entwickler|debug|admin)-?modus (?:aktiv\w*|einschalten|ein\b)|\b(?:ohne|keine) (?:\w+ )?(?:einschränkungen"
            r"|beschränkungen|filter|ethische\w* \w+|moralische\w* \w+)\b"
        ),
    ),
    "fr": (
        r"\b(?:tu es|vous êtes) (?:maintenant|désormais|dorénavant)\b|\bà partir de maintenant,? (?:tu|vous)\b",
        r"\bmode (?:développeur|admin\pL*|débogage)\b|\bsans (?:aucune )?(?:restriction|limite|filtre|censure)s?\b",
    ),
    "es": (
        r"\b(?:ahora eres|a partir de ahora|desde ahora|de ahora en adelante),? (?:eres|tú|usted|vas|respond\pL+|act[úu]\pL*|un)",
        r"\bmodo (?:desarrollador|administrador|depuración|dios)\b|\bsin (?:ninguna )?(?:restricci\pL+|filtros?|censura)\b",
    ),
    "it": (
        r"\b(?:ora sei|adesso sei|d'ora in poi|da ora in poi),? ",
        r"\bmodalità (?:sviluppatore|amministratore|debug)\b|\bsenza (?:alcuna )?(?:restrizion\pL+|filtr\pL|censura)\b",
    ),
    "pt": (
        r"\b(?:agora você é|agora és|a partir de agora|de agora em diante),? ",
        r"\bmodo (?:de )?(?:desenvolvedor|programador|administrador|depuração)\b|\bsem (?:nenhuma )?(?:restriç\pL+|filtros?|censura)\b",
    ),
    "ru": (
        r"(?:теперь ты|с этого момента ты|отныне ты|ты больше не|режим разработчика|без (?:всяких )?(?:ограничений|цензуры))",
    ),
    "zh": (
        r"(?:你现在是|你現在是|从现在开始|從現在開始|从现在起|开发者模式|開發者模式|没有任何限制|不受限制|越狱模式)",
    ),
    "ja": (r"(?:あなたは今から|今からあなたは|これからあなたは|開発者モード|制限なし|制約なし|制限のない)",),
    "ko": (r"(?:지금부터 (?:너는|당신은|넌)|너는 이제|당신은 이제|개발자 모드|제한 없이|제약 없이)",),
    "ar": (r"(?:أنت الآن|من الآن فصاعد|وضع المطور|بدون (?:أي )?قيود|دون قيود)",),
    "hi": (r"(?:अब (?:से )?(?:तुम|आप) (?:एक )?|डेवलपर मोड|बिना किसी (?:प्रतिबंध|रोक))",),
    "tr": (r"(?:artık sen|bundan sonra sen|şu andan itibaren|geliştirici modu|kısıtlama olmadan|sınırsız mod)",),
    "pl": (r"(?:od teraz jesteś|jesteś teraz|tryb (?:deweloper\pL*|programisty)|bez (?:żadnych )?ograniczeń)",),
    "nl": (r"\b(?:je bent nu|vanaf nu ben je|ontwikkelaarsmodus|zonder (?:enige )?beperkingen)\b",),
}

LANGUAGES: Final[list[Rule]] = [
    *(rule for code, each in _OVERRIDE.items() for rule in rules("instruction_override", 3.6, 4.6, each, code)),
    *(rule for code, each in _EXTRACT.items() for rule in rules("prompt_extraction", 2.6, 3.8, each, code)),
    *(rule for code, each in _FREED.items() for rule in rules("role_change", 1.4, 2.6, each, code)),
]
